//! What jobstats says of a job in its AdminComment: `JS1:` and a JSON document, gzipped, in base64
//! (PrincetonUniversity/jobstats, slurm/slurmctldepilog.sh and jobstats.py). slurmdbd holds it; who writes there may be
//! anybody with an account manager's rights, so it is read with limits.

use std::collections::BTreeMap;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::record::Use;

/// The longest document that is read, in bytes.
const LARGEST: u64 = 4 << 20;

#[derive(Deserialize)]
struct Summary {
    #[serde(default)]
    nodes: BTreeMap<String, Node>,
}

#[derive(Deserialize)]
struct Node {
    /// Peak memory of each GPU, in bytes.
    #[serde(default)]
    gpu_used_memory: BTreeMap<String, f64>,
    /// Mean utilisation of each GPU, in per cent.
    #[serde(default)]
    gpu_utilization: BTreeMap<String, f64>,
}

/// What a comment says of GPUs; `None` where it says nothing, or cannot be read.
pub(super) fn read(comment: &str) -> Option<Use> {
    let packed = STANDARD.decode(comment.strip_prefix("JS1:")?.trim()).ok()?;
    let mut document = Vec::new();
    let mut unpacked = flate2::read::GzDecoder::new(&packed[..]).take(LARGEST + 1);
    unpacked.read_to_end(&mut document).ok()?;
    if document.len() as u64 > LARGEST {
        return None;
    }
    let summary: Summary = serde_json::from_slice(&document).ok()?;
    let nodes = || summary.nodes.values();
    let most = nodes().flat_map(|node| node.gpu_used_memory.values()).copied().reduce(f64::max)?;
    let busy: Vec<f64> = nodes().flat_map(|node| node.gpu_utilization.values()).copied().collect();
    let sound = |number: &f64| number.is_finite() && *number >= 0.0;
    if !sound(&most) || !busy.iter().all(sound) {
        return None;
    }
    let mean = busy.iter().sum::<f64>() / busy.len().max(1) as f64 / 100.0;
    let busy = (!busy.is_empty()).then_some(mean.min(1.0));
    Some(Use { memory_mib: (most / f64::from(1 << 20)).ceil() as u64, busy })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn comment(document: &[u8]) -> String {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(document).unwrap();
        format!("JS1:{}", STANDARD.encode(gzip.finish().unwrap()))
    }

    #[test]
    fn memory_and_utilisation_of_all_gpus_are_read() {
        let text = r#"{"nodes": {"n1": {"gpu_used_memory": {"0": 1073741824, "1": 3221225473},
            "gpu_utilization": {"0": 40.0, "1": 60}, "gpu_total_memory": {"0": 42949672960}, "cpus": 4}},
            "total_time": 12.5, "gpus": 2}"#;
        assert_eq!(read(&comment(text.as_bytes())), Some(Use { memory_mib: 3073, busy: Some(0.5) }));
        let no_use = r#"{"nodes": {"n1": {"gpu_used_memory": {"0": 5}}}}"#;
        assert_eq!(read(&comment(no_use.as_bytes())), Some(Use { memory_mib: 1, busy: None }));
    }

    #[test]
    fn anything_else_says_nothing() {
        let bomb = comment(&vec![b' '; LARGEST as usize + 2]);
        let negative = comment(br#"{"nodes": {"n1": {"gpu_used_memory": {"0": -1}}}}"#);
        for text in [
            "",
            "JS1:",
            "JS1:None",
            "JS1:Short",
            "JS1:!!!!",
            "x",
            &bomb,
            &negative,
            &comment(b"[1"),
            &comment(b"{}"),
        ] {
            assert_eq!(read(text), None, "{}", &text[..text.len().min(40)]);
        }
        let whole = comment(br#"{"nodes": {"n1": {"gpu_used_memory": {"0": 1}}}}"#);
        assert_eq!(read(&whole[..whole.len() / 2]), None);
    }
}
