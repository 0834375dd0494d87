//! Waiting times by layout as a picture: bars on a logarithmic scale, since layouts differ by orders of magnitude.

use minijinja::context;

use crate::svg;

#[derive(Clone, Debug)]
pub(crate) struct Bar {
    /// What stands before it.
    pub name: String,
    /// Mean waiting, in seconds.
    pub mean: f64,
    /// What 95 % of the jobs do not exceed, in seconds; `None` for a bound.
    pub p95: Option<f64>,
    /// What stands behind it.
    pub label: String,
}

/// One group of nodes.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub title: String,
    pub bars: Vec<Bar>,
}

/// The scale, in seconds, with what stands there.
const TICKS: [(f64, &str); 6] =
    [(1.0, "1 s"), (60.0, "1 min"), (3600.0, "1 h"), (36e3, "10 h"), (36e4, "100 h"), (36e5, "1000 h")];

/// Where the scale begins and how long it is, in pixels.
const LEFT: f64 = 90.0;
const WIDTH: f64 = 520.0;

/// Heights, in pixels.
const HEAD: f64 = 34.0;
const ROW: f64 = 26.0;
const FOOT: f64 = 36.0;

/// The picture, as SVG.
///
/// # Errors
/// When the template cannot be filled in, which no figures bring about.
pub(crate) fn svg(panels: &[Panel]) -> Result<String, minijinja::Error> {
    let longest = panels.iter().flat_map(|p| &p.bars).flat_map(|b| [b.mean, b.p95.unwrap_or(0.0)]);
    let longest = longest.fold(60.0, f64::max) * 1.3;
    let x = |seconds: f64| (seconds.max(0.0) + 1.0).ln() / (longest + 1.0).ln() * WIDTH;
    let mut y = 0.0;
    let mut blocks = Vec::new();
    for panel in panels {
        let rows = panel.bars.iter().zip(0u16..).map(|(bar, number)| {
            context! {
                name => bar.name.clone(),
                label => bar.label.clone(),
                y => y + HEAD + ROW * f64::from(number),
                width => x(bar.mean).max(1.0),
                p95 => bar.p95.map(|p95| LEFT + x(p95)),
            }
        });
        let bottom = y + HEAD + ROW * panel.bars.len() as f64;
        blocks.push(context! { title => panel.title.clone(), y, bottom, rows => rows.collect::<Vec<_>>() });
        y = bottom + FOOT;
    }
    let ticks: Vec<(f64, &str)> =
        TICKS.iter().filter(|(s, _)| *s <= longest).map(|(s, name)| (LEFT + x(*s), *name)).collect();
    let picture = context! { blocks, ticks, left => LEFT, width => LEFT + WIDTH + 120.0, height => y };
    svg::render(include_str!("waiting.svg.j2"), &picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_drawn_to_scale_and_names_escaped() {
        let bar =
            |name: &str, mean, p95| Bar { name: name.to_owned(), mean, p95, label: format!("{mean} s") };
        let bars =
            vec![bar("advised", 60.0, Some(600.0)), bar("whole", 36e3, Some(9e4)), bar("bound", 0.0, None)];
        insta::assert_snapshot!(svg(&[Panel { title: "A & <B>".to_owned(), bars }]).unwrap());
    }
}
