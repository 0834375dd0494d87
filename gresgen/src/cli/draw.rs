//! A GPU's slices as a line of text: one cell per placement unit, a name where an instance lies.

use mig::{Geometry, Placement};

/// Characters of a drawn GPU, split among its placement units (4, 8 or 12).
const WIDTH: usize = 72;

/// `|3g.20gb                           |2g.10gb          |1g.5gb  |        |`
///
/// A name too long for its span is cut; an instance that starts where the one before ends has one bar with it.
pub(super) fn slices(geometry: &Geometry, placed: &[Placement]) -> String {
    let units = usize::from(geometry.units);
    if units == 0 {
        return String::new();
    }
    let cell = WIDTH / units;
    let mut line = String::from("|");
    let mut unit = 0;
    while unit < units {
        let here = placed.iter().find(|p| usize::from(p.start) == unit);
        let (label, width) = match here {
            Some(&p) => (p.profile.to_string(), geometry.span(p).len()),
            None => (String::new(), 1),
        };
        let room = width * cell - 1;
        line.push_str(&format!("{label:<room$.room$}|"));
        unit += width;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use mig::Board;

    fn draw(key: &str, slices: &[(&str, u8)]) -> String {
        let geometry = Board::by_key(key).unwrap().geometry();
        let placed: Vec<Placement> = slices
            .iter()
            .map(|(name, start)| Placement { profile: name.parse().unwrap(), start: *start })
            .collect();
        super::slices(&geometry, &placed)
    }

    #[test]
    fn instances_are_as_wide_as_their_span() {
        let a100 = draw("a100-40gb", &[("3g.20gb", 0), ("2g.10gb", 4), ("1g.5gb", 6)]);
        insta::assert_snapshot!(a100, @"|3g.20gb                            |2g.10gb          |1g.5gb  |        |");
        let a30 = draw("a30-24gb", &[("2g.12gb", 2)]);
        insta::assert_snapshot!(a30, @"|                 |                 |2g.12gb                            |");
        let rtx = draw("rtx-pro-6000-blackwell-96gb", &[("1g.24gb+me.all", 3)]);
        insta::assert_snapshot!(rtx, @"|     |     |     |1g.24gb+me.all   |     |     |     |     |     |     |");
        assert_eq!(a100.len(), a30.len());
    }
}
