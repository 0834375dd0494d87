//! A GPU's slices as a line of text: one cell per placement unit, a name where an instance lies.

use mig::{Geometry, Placement};

use super::paint::{Painted, Role};

/// Wider is harder to read, not easier.
const MOST: usize = 97;

/// `|3g.20gb                           |2g.10gb          |1g.5gb  |        |`, in at most `columns`.
///
/// The units of every GPU, 4, 8 or 12, share about as many columns. A name too long for its span is cut; an instance that
/// starts where the one before ends has one bar with it.
pub(super) fn slices(geometry: &Geometry, placed: &[(Placement, Role)], columns: usize) -> Painted {
    let units = usize::from(geometry.units);
    let mut line = Painted::default();
    if units == 0 {
        return line;
    }
    // A multiple of eight, so that drawings of GPUs with four and with eight units are equally wide.
    let width = columns.min(MOST).saturating_sub(1) / 8 * 8;
    let cell = (width / units).max(2);
    line.push("|");
    let mut unit = 0;
    while unit < units {
        let (label, width, role) = match placed.iter().find(|(p, _)| usize::from(p.start) == unit) {
            // A span of no units would never end the line.
            Some(&(p, role)) => (p.profile.to_string(), geometry.span(p).len().max(1), role),
            None => (String::new(), 1, Role::Plain),
        };
        let room = width * cell - 1;
        line.paint(role, &format!("{label:<room$.room$}"));
        line.push("|");
        unit += width;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use mig::Board;

    fn draw(key: &str, slices: &[(&str, u8)], columns: usize) -> String {
        let geometry = Board::by_key(key).unwrap().geometry();
        let placed: Vec<(Placement, Role)> = slices
            .iter()
            .map(|(name, start)| (Placement { profile: name.parse().unwrap(), start: *start }, Role::Plain))
            .collect();
        super::slices(&geometry, &placed, columns).as_ansi().to_owned()
    }

    #[test]
    fn instances_are_as_wide_as_their_span() {
        let a100 = draw("a100-40gb", &[("3g.20gb", 0), ("2g.10gb", 4), ("1g.5gb", 6)], 78);
        insta::assert_snapshot!(a100, @"|3g.20gb                            |2g.10gb          |1g.5gb  |        |");
        let a30 = draw("a30-24gb", &[("2g.12gb", 2)], 78);
        insta::assert_snapshot!(a30, @"|                 |                 |2g.12gb                            |");
        let rtx = draw("rtx-pro-6000-blackwell-96gb", &[("1g.24gb+me.all", 3)], 78);
        insta::assert_snapshot!(rtx, @"|     |     |     |1g.24gb+me.all   |     |     |     |     |     |     |");
        assert_eq!(a100.len(), a30.len());
    }

    #[test]
    fn a_drawing_fits_the_terminal() {
        let seven: Vec<(&str, u8)> = (0..7).map(|start| ("1g.5gb", start)).collect();
        for columns in 20..300 {
            let line = draw("a100-40gb", &seven, columns);
            assert!(line.len() <= columns.min(MOST), "{columns}: {line}");
            assert_eq!(line.matches('|').count(), 9, "{columns}: {line}");
        }
    }
}
