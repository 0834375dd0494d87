//! Reading and writing the text form.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::{DeviceFile, DeviceMap, FORMAT, MAX_RECORDS, Record};

const MAGIC: &str = "gresgen-devices";
const COLUMNS: [&str; 7] = ["index", "type", "uuid", "parent", "gi", "ci", "files"];
/// Stands for a value that does not apply: no type, no instance.
const NONE: &str = "-";

/// A text that is no device map: the line (from 1) and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line number, from 1; one past the last line when something is missing.
    pub line: usize,
    /// What is wrong, as a phrase.
    pub what: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for ParseError {}

impl fmt::Display for DeviceMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{MAGIC} {FORMAT}")?;
        writeln!(f, "node {}", self.node)?;
        writeln!(f, "boot {}", self.boot)?;
        writeln!(f, "gres-conf {}", self.digest)?;
        writeln!(f, "columns {}", COLUMNS.join(" "))?;
        for (index, record) in self.records.iter().enumerate() {
            let (gi, ci) = match record.instance {
                Some((gi, ci)) => (gi.to_string(), ci.to_string()),
                None => (NONE.to_owned(), NONE.to_owned()),
            };
            let files: Vec<String> = record.files.iter().map(DeviceFile::to_string).collect();
            let Record { gres_type, uuid, parent, .. } = record;
            writeln!(f, "{index} {gres_type} {uuid} {parent} {gi} {ci} {}", files.join(","))?;
        }
        writeln!(f, "end {}", self.records.len())
    }
}

impl fmt::Display for DeviceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}:{}", self.path.display(), self.major, self.minor)
    }
}

impl FromStr for DeviceFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = || {
            let (path, numbers) = text.rsplit_once('=')?;
            let (major, minor) = numbers.split_once(':')?;
            path.starts_with('/').then_some(())?;
            Some(DeviceFile {
                path: PathBuf::from(path),
                major: major.parse().ok()?,
                minor: minor.parse().ok()?,
            })
        };
        parsed().ok_or_else(|| format!("{text:?} is not a device such as /dev/nvidia0=195:0"))
    }
}

impl FromStr for DeviceMap {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut reader = Reader::default();
        for (index, line) in text.lines().enumerate() {
            reader.line(line).map_err(|what| ParseError { line: index + 1, what })?;
        }
        if !text.ends_with('\n') {
            return Err(ParseError { line: text.lines().count(), what: "the line is cut off".into() });
        }
        reader.finish().map_err(|what| ParseError { line: text.lines().count() + 1, what })
    }
}

/// Where the reader stands in the file.
#[derive(Default)]
enum Stage {
    #[default]
    Magic,
    Header,
    Rows(Columns),
    Done,
}

#[derive(Default)]
struct Reader {
    stage: Stage,
    map: DeviceMap,
    uuids: BTreeSet<String>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match &self.stage {
            Stage::Magic => {
                (word == MAGIC).then_some(()).ok_or(format!("not a device map: no {MAGIC:?} line"))?;
                let known = rest == FORMAT.to_string();
                known.then_some(()).ok_or(format!("format {rest:?} is not {FORMAT}"))?;
                self.stage = Stage::Header;
            }
            Stage::Header => match word {
                "node" => rest.clone_into(&mut self.map.node),
                "boot" => rest.clone_into(&mut self.map.boot),
                "gres-conf" => rest.clone_into(&mut self.map.digest),
                "columns" => self.stage = Stage::Rows(Columns::read(rest)?),
                _ => {} // a header of a later version
            },
            Stage::Rows(_) if word == "end" => {
                let rows = self.map.records.len();
                (rest == rows.to_string())
                    .then_some(())
                    .ok_or(format!("end says {rest:?}, rows are {rows}"))?;
                self.stage = Stage::Done;
            }
            Stage::Rows(columns) => {
                let index = self.map.records.len();
                (index < MAX_RECORDS).then_some(()).ok_or(format!("more than {MAX_RECORDS} rows"))?;
                let record = columns.record(line, index)?;
                let new = self.uuids.insert(record.uuid.clone());
                new.then_some(()).ok_or(format!("UUID {} stands twice", record.uuid))?;
                self.map.records.push(record);
            }
            Stage::Done => return Err("text after the end line".into()),
        }
        Ok(())
    }

    fn finish(self) -> Result<DeviceMap, String> {
        match self.stage {
            Stage::Done => Ok(self.map),
            _ => Err("the end line is missing".into()),
        }
    }
}

/// At which position each known column stands.
struct Columns {
    positions: [usize; COLUMNS.len()],
    count: usize,
}

impl Columns {
    fn read(header: &str) -> Result<Self, String> {
        let names: Vec<&str> = header.split(' ').collect();
        let mut positions = [0; COLUMNS.len()];
        for (slot, column) in positions.iter_mut().zip(COLUMNS) {
            let found = names.iter().position(|n| *n == column);
            *slot = found.ok_or(format!("column {column:?} is missing"))?;
        }
        Ok(Columns { positions, count: names.len() })
    }

    fn record(&self, line: &str, index: usize) -> Result<Record, String> {
        let cells: Vec<&str> = line.split(' ').collect();
        let count = self.count;
        (cells.len() == count).then_some(()).ok_or(format!("{} columns instead of {count}", cells.len()))?;
        if let Some(empty) = cells.iter().position(|c| c.is_empty()) {
            return Err(format!("column {} is empty", empty + 1));
        }
        let [at, gres_type, uuid, parent, gi, ci, files] = self.positions.map(|p| cells[p]);
        (at == index.to_string()).then_some(()).ok_or(format!("index {at:?} where {index} is due"))?;
        let instance = match (gi, ci) {
            (NONE, NONE) => None,
            (gi, ci) => Some((id("gi", gi)?, id("ci", ci)?)),
        };
        let files: Result<Vec<DeviceFile>, String> = files.split(',').map(str::parse).collect();
        Ok(Record {
            gres_type: gres_type.to_owned(),
            uuid: uuid.to_owned(),
            parent: parent.to_owned(),
            instance,
            files: files?,
        })
    }
}

fn id(column: &str, text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{column} {text:?} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> impl Strategy<Value = Record> {
        let file = ("/[a-z0-9/_.-]{1,20}", any::<u32>(), any::<u32>())
            .prop_map(|(path, major, minor)| DeviceFile { path: PathBuf::from(path), major, minor });
        (
            "[a-z0-9.+_-]{1,12}",
            "(MIG|GPU)-[0-9a-f-]{1,36}",
            "GPU-[0-9a-f-]{1,36}",
            proptest::option::of((any::<u32>(), any::<u32>())),
            proptest::collection::vec(file, 1..4),
        )
            .prop_map(|(gres_type, uuid, parent, instance, files)| Record {
                gres_type,
                uuid,
                parent,
                instance,
                files,
            })
    }

    fn map() -> impl Strategy<Value = DeviceMap> {
        proptest::collection::vec(record(), 0..12).prop_map(|mut records| {
            for (index, record) in records.iter_mut().enumerate() {
                record.uuid.push_str(&format!("-{index}"));
            }
            DeviceMap { node: "n1".into(), boot: "b".into(), digest: "d".into(), records }
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(map in map()) {
            prop_assert_eq!(map.to_string().parse::<DeviceMap>().unwrap(), map);
        }

        #[test]
        fn a_cut_map_is_never_believed(map in map(), cut in any::<prop::sample::Index>()) {
            let text = map.to_string();
            let cut = cut.index(text.len());
            prop_assert!(text[..cut].parse::<DeviceMap>().is_err());
        }

        #[test]
        fn no_text_panics(text in "(\\PC|\n| ){0,80}") {
            let _ = text.parse::<DeviceMap>();
        }
    }

    const MAP: &str = "gresgen-devices 1\nnode n1\nboot b\ngres-conf d\ncolumns index type uuid parent gi ci files\n\
        0 1g.5gb MIG-a GPU-a 7 0 /dev/nvidia0=195:0,/dev/c66=238:66\n1 a100 GPU-b GPU-b - - /dev/nvidia1=195:1\nend 2\n";

    #[test]
    fn later_versions_may_add_headers_and_columns() {
        let newer = MAP
            .replace("boot b\n", "boot b\nweather fine\n")
            .replace("uuid parent", "uuid colour parent")
            .replace("MIG-a GPU-a", "MIG-a red GPU-a")
            .replace("GPU-b GPU-b", "GPU-b blue GPU-b");
        assert_eq!(newer.parse::<DeviceMap>(), MAP.parse::<DeviceMap>());
    }

    #[test]
    fn every_defect_is_named_with_its_line() {
        let defects = [
            ("gresgen-devices 1", "gresgen-devices 2", "line 1: format \"2\" is not 1"),
            ("gresgen-devices 1", "nothing", "line 1: not a device map: no \"gresgen-devices\" line"),
            ("columns index", "columns position", "line 5: column \"index\" is missing"),
            ("1 a100", "2 a100", "line 7: index \"2\" where 1 is due"),
            ("MIG-a", "GPU-b", "line 7: UUID GPU-b stands twice"),
            ("7 0 ", "7 x ", "line 6: ci \"x\" is not a number"),
            ("=238:66", "", "line 6: \"/dev/c66\" is not a device such as /dev/nvidia0=195:0"),
            (" 7 0 ", " 7 ", "line 6: 6 columns instead of 7"),
            ("end 2", "end 3", "line 8: end says \"3\", rows are 2"),
            ("end 2\n", "", "line 8: the end line is missing"),
            ("end 2\n", "end 2", "line 8: the line is cut off"),
            ("end 2\n", "end 2\nmore\n", "line 9: text after the end line"),
        ];
        for (good, bad, message) in defects {
            let error = MAP.replace(good, bad).parse::<DeviceMap>().unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
