//! The picture: a box for each crate, above those it is built with; in it its modules on floors, each above those
//! it imports. A line that follows from two others is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::source::Crate;
use super::{Imports, reached};

/// Sizes in user units, which are pixels at the natural size of the picture.
const ROOM: (f64, f64) = (92.0, 24.0);
const GAP: (f64, f64) = (10.0, 30.0);
const EDGE: f64 = 14.0;
/// Room between crates.
const BETWEEN: f64 = 36.0;
const TITLE: f64 = 30.0;
/// Rooms side by side at most, and the width that crates side by side may fill: more would be too small to read where
/// the picture is scaled to a page.
const ROOMS: usize = 7;
const WIDTH: f64 = 800.0;

const STYLE: &str = "\
text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#1f2933}\
.name{font-weight:bold;font-size:13px}\
.crate{fill:#f7f9fb;stroke:#9aa5b1}\
.room{fill:#fff;stroke:#52606d}\
.in{fill:none;stroke:#52606d;stroke-opacity:.45}\
.uses{font-weight:normal;fill:#52606d}\
@media (prefers-color-scheme:dark){text{fill:#e4e7eb}.crate{fill:#1f2933;stroke:#616e7c}\
.room{fill:#323f4b;stroke:#9aa5b1}.in{stroke:#cbd2d9}.uses{fill:#cbd2d9}}";

/// A box and where it stands.
#[derive(Clone, Copy)]
struct Place {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// A crate, laid out from its own upper left corner.
struct House {
    rooms: BTreeMap<String, Place>,
    lines: Vec<(String, String)>,
    width: f64,
    height: f64,
}

pub(super) fn svg(crates: &[Crate]) -> String {
    let between: Imports = crates.iter().map(|c| (c.name.clone(), c.depends.clone())).collect();
    let houses: BTreeMap<&str, House> = crates.iter().map(|c| (c.name.as_str(), house(c))).collect();
    let span = |row: &[String]| {
        row.iter().map(|name| houses[name.as_str()].width).sum::<f64>() + BETWEEN * (row.len() - 1) as f64
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for floor in floors(&between).into_iter().rev() {
        let mut row = Vec::new();
        for name in floor {
            row.push(name);
            if row.len() > 1 && span(&row) > WIDTH {
                rows.push(row.drain(..row.len() - 1).collect());
            }
        }
        rows.push(row);
    }
    let width = rows.iter().map(|row| span(row)).fold(0.0, f64::max) + 2.0 * EDGE;
    let (mut places, mut y) = (BTreeMap::new(), EDGE);
    for row in &rows {
        let mut x = (width - span(row)) / 2.0;
        let tallest = row.iter().map(|name| houses[name.as_str()].height).fold(0.0, f64::max);
        for name in row {
            let house = &houses[name.as_str()];
            places.insert(name.clone(), Place { x, y, width: house.width, height: house.height });
            x += house.width + BETWEEN;
        }
        y += tallest + BETWEEN;
    }
    let height = y - BETWEEN + EDGE;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\">\n<title>Crates, their modules, and who imports whom</title>\n\
         <style>{STYLE}</style>\n"
    );
    for (name, place) in &places {
        let _ = writeln!(out, "{}", rectangle("crate", *place, 6.0));
        let _ = writeln!(
            out,
            "<text class=\"name\" x=\"{:.0}\" y=\"{:.0}\">{name}{}</text>",
            place.x + EDGE,
            place.y + 20.0,
            uses(&between[name])
        );
        let House { rooms, lines, .. } = &houses[name.as_str()];
        let moved = |room: &str| {
            let inner = rooms[room];
            Place { x: place.x + inner.x, y: place.y + inner.y, ..inner }
        };
        for (from, to) in lines {
            let _ = writeln!(out, "{}", line(moved(from), moved(to)));
        }
        for room in rooms.keys() {
            let place = moved(room);
            let (x, y) = (place.x + place.width / 2.0, place.y + 16.0);
            let _ = writeln!(out, "{}", rectangle("room", place, 3.0));
            let _ = writeln!(out, "<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"middle\">{room}</text>");
        }
    }
    out.push_str("</svg>\n");
    out
}

/// The crates that one is built with, behind its name.
fn uses(depends: &BTreeSet<String>) -> String {
    if depends.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = depends.iter().map(String::as_str).collect();
    format!("<tspan class=\"uses\"> uses {}</tspan>", names.join(", "))
}

fn house(of: &Crate) -> House {
    let imports = of.folders.get("").cloned().unwrap_or_default();
    let wrapped = |floor: &Vec<String>| floor.chunks(ROOMS).map(<[String]>::to_vec).collect::<Vec<_>>();
    let floors: Vec<Vec<String>> = floors(&imports).iter().flat_map(wrapped).collect();
    let widest = floors.iter().map(Vec::len).max().unwrap_or(0) as f64;
    let title =
        (of.name.len() + 6 + of.depends.iter().map(|name| name.len() + 2).sum::<usize>()) as f64 * 8.0;
    let width = (widest * (ROOM.0 + GAP.0) - GAP.0).max(title) + 2.0 * EDGE;
    let mut rooms = BTreeMap::new();
    for (number, floor) in floors.iter().rev().enumerate() {
        let mut x = (width - (floor.len() as f64 * (ROOM.0 + GAP.0) - GAP.0)) / 2.0;
        let y = TITLE + number as f64 * (ROOM.1 + GAP.1);
        for room in floor {
            rooms.insert(room.clone(), Place { x, y, width: ROOM.0, height: ROOM.1 });
            x += ROOM.0 + GAP.0;
        }
    }
    let height =
        TITLE + floors.len() as f64 * (ROOM.1 + GAP.1) - if floors.is_empty() { 0.0 } else { GAP.1 } + EDGE;
    House { rooms, lines: direct(&imports), width, height }
}

/// Rooms by floor, the ground floor first: those that import nobody. On each floor a room stands near those it
/// imports, which keeps the lines short.
fn floors(imports: &Imports) -> Vec<Vec<String>> {
    let mut floor: BTreeMap<&str, usize> = BTreeMap::new();
    // As often as there are rooms: no way up is longer, and a circle ends too.
    for _ in 0..imports.len() {
        for (room, below) in imports {
            let up = below
                .iter()
                .filter(|b| *b != room)
                .filter_map(|b| floor.get(b.as_str()).map(|f| f + 1))
                .max();
            floor.insert(room, up.unwrap_or(0).min(imports.len()));
        }
    }
    let top = floor.values().max().map_or(0, |top| top + 1);
    let mut floors: Vec<Vec<String>> = Vec::new();
    let mut position: BTreeMap<String, f64> = BTreeMap::new();
    for number in 0..top {
        let mut rooms: Vec<(f64, &str)> = Vec::new();
        for (room, _) in floor.iter().filter(|(_, f)| **f == number) {
            let below: Vec<f64> = imports[*room].iter().filter_map(|b| position.get(b)).copied().collect();
            let middle = if below.is_empty() { 0.0 } else { below.iter().sum::<f64>() / below.len() as f64 };
            rooms.push((middle, room));
        }
        rooms.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
        let half = (rooms.len() as f64 - 1.0) / 2.0;
        for (at, (_, room)) in rooms.iter().enumerate() {
            position.insert((*room).to_owned(), at as f64 - half);
        }
        if !rooms.is_empty() {
            floors.push(rooms.into_iter().map(|(_, room)| room.to_owned()).collect());
        }
    }
    floors
}

/// Imports that do not follow from others.
fn direct(imports: &Imports) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for (from, below) in imports {
        for to in below {
            let follows = below.iter().any(|other| other != to && reached(imports, other).contains(to));
            if !follows && from != to {
                lines.push((from.clone(), to.clone()));
            }
        }
    }
    lines
}

fn rectangle(class: &str, place: Place, radius: f64) -> String {
    let Place { x, y, width, height } = place;
    format!(
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius}\"/>"
    )
}

/// From the lower edge of one to the upper edge of the other.
fn line(from: Place, to: Place) -> String {
    let (x1, y1) = (from.x + from.width / 2.0, from.y + from.height);
    let (x2, y2) = (to.x + to.width / 2.0, to.y);
    let bend = (y2 - y1) / 2.0;
    format!(
        "<path class=\"in\" d=\"M{x1:.1} {y1:.1}C{x1:.1} {:.1} {x2:.1} {:.1} {x2:.1} {y2:.1}\"/>",
        y1 + bend,
        y2 - bend
    )
}
