//! Reading and writing the text form.

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
        if let Some(version) = &self.plugin {
            writeln!(f, "plugin {version}")?;
        }
        for (index, uuid) in &self.gpus {
            writeln!(f, "gpu {index} {uuid}")?;
        }
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
            Some(DeviceFile { path: PathBuf::from(path), major: number(major)?, minor: number(minor)? })
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
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match &self.stage {
            Stage::Magic => {
                (word == MAGIC)
                    .then_some(())
                    .ok_or_else(|| format!("not a device map: no {MAGIC:?} line"))?;
                let known = number(rest) == Some(FORMAT);
                known.then_some(()).ok_or_else(|| format!("format {rest:?} is not {FORMAT}"))?;
                self.stage = Stage::Header;
            }
            Stage::Header => match word {
                "node" => rest.clone_into(&mut self.map.node),
                "boot" => rest.clone_into(&mut self.map.boot),
                "gres-conf" => rest.clone_into(&mut self.map.digest),
                "plugin" => self.map.plugin = Some(rest.to_owned()),
                "gpu" => self.map.gpus.push(gpu(rest)?),
                "columns" => self.stage = Stage::Rows(Columns::read(rest)?),
                _ => {} // a header of a later version
            },
            Stage::Rows(_) if word == "end" => {
                let rows = self.map.records.len();
                is(rest, rows).then_some(()).ok_or_else(|| format!("end says {rest:?}, rows are {rows}"))?;
                self.stage = Stage::Done;
            }
            Stage::Rows(columns) => {
                let index = self.map.records.len();
                (index < MAX_RECORDS).then_some(()).ok_or_else(|| format!("more than {MAX_RECORDS} rows"))?;
                let record = columns.record(line, index)?;
                // Looked for one by one: a node has dozens of records, not thousands.
                let known = self.map.records.iter().any(|other| other.uuid == record.uuid);
                (!known).then_some(()).ok_or_else(|| format!("UUID {} stands twice", record.uuid))?;
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

/// Which known column, by its place in [`COLUMNS`], stands at each position; `None` for one of a later version.
struct Columns(Vec<Option<usize>>);

impl Columns {
    fn read(header: &str) -> Result<Self, String> {
        let known = |name| COLUMNS.iter().position(|column| *column == name);
        let columns: Vec<Option<usize>> = header.split(' ').map(known).collect();
        match (0..COLUMNS.len()).find(|column| !columns.contains(&Some(*column))) {
            Some(missing) => Err(format!("column {:?} is missing", COLUMNS[missing])),
            None => Ok(Columns(columns)),
        }
    }

    /// The cells of `line` under the known columns, in the order of [`COLUMNS`].
    fn cells<'a>(&self, line: &'a str) -> Result<[&'a str; COLUMNS.len()], String> {
        let mut cells = [""; COLUMNS.len()];
        let mut count = 0;
        for cell in line.split(' ') {
            count += 1;
            if cell.is_empty() {
                return Err(format!("column {count} is empty"));
            }
            if let Some(Some(column)) = self.0.get(count - 1) {
                cells[*column] = cell;
            }
        }
        let due = self.0.len();
        (count == due).then_some(cells).ok_or_else(|| format!("{count} columns instead of {due}"))
    }

    fn record(&self, line: &str, index: usize) -> Result<Record, String> {
        let [at, gres_type, uuid, parent, gi, ci, files] = self.cells(line)?;
        is(at, index).then_some(()).ok_or_else(|| format!("index {at:?} where {index} is due"))?;
        let instance = match (gi, ci) {
            (NONE, NONE) => None,
            (gi, ci) => Some((id("gi", gi)?, id("ci", ci)?)),
        };
        is_gpu_uuid(parent).then_some(()).ok_or_else(|| format!("{parent:?} is not GPU-..."))?;
        let files: Result<Vec<DeviceFile>, String> = files.split(',').map(str::parse).collect();
        let record = Record {
            gres_type: gres_type.to_owned(),
            uuid: uuid.to_owned(),
            parent: parent.to_owned(),
            instance,
            files: files?,
        };
        let (known, kind) = match (instance, record.no_device()) {
            (Some(_), _) => (is_mig_uuid(uuid), "MIG-..."),
            (None, Some(kind)) => (*uuid == kind.name(index), "that of its index"),
            (None, None) => (uuid == parent, "that of its GPU"),
        };
        known.then_some(record).ok_or_else(|| format!("the UUID {uuid:?} is not {kind}"))
    }
}

/// Whether `text` is what NVML calls a GPU: `GPU-` and an id.
pub fn is_gpu_uuid(text: &str) -> bool {
    text.strip_prefix("GPU-").is_some_and(is_id)
}

/// Whether `text` is what NVML calls a MIG device: `MIG-` and an id. (Before R470 it was the GPU's UUID with two numbers
/// behind slashes.)
pub fn is_mig_uuid(text: &str) -> bool {
    text.strip_prefix("MIG-").is_some_and(is_id)
}

/// Whether `text` can stand in a list of devices, and be a part of a file's name: nothing in it would end or split
/// either.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Reads `0 GPU-…`.
fn gpu(text: &str) -> Result<(u32, String), String> {
    let parsed = || {
        let (index, uuid) = text.split_once(' ')?;
        is_gpu_uuid(uuid).then_some((number(index)?, uuid.to_owned()))
    };
    parsed().ok_or_else(|| format!("{text:?} is not the index and UUID of a GPU"))
}

fn id(column: &str, text: &str) -> Result<u32, String> {
    number(text).ok_or_else(|| format!("{column} {text:?} is not a number"))
}

fn is(text: &str, due: usize) -> bool {
    number(text).is_some_and(|number| number as usize == due)
}

/// Reads a number as it is written here: no sign, no zeros before it.
pub(crate) fn number(text: &str) -> Option<u32> {
    let canonical = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
    canonical.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests;
