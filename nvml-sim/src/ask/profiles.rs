//! GPU instance profiles: by number in every version of the struct, by id, and how wrong questions are met.

use nvml_wrapper_sys::bindings::nvmlGpuInstanceProfileInfo_t;

use super::Answers;
use crate::client::{Client, DeviceHandle, Place, Profile};
use crate::code::Answer;

/// Numbers asked for: those of nvml.h and some past them.
const NUMBERS: u32 = 24;

/// Ids that 7-slice GPUs have.
const IDS: [u32; 7] = [0, 5, 9, 14, 19, 20, 15];

pub(super) fn ask(client: &Client, gpu: DeviceHandle, answers: &mut Answers) {
    for number in 0..NUMBERS {
        let known = client.profile(gpu, number);
        answers.told(format!("profile {number} v1"), known, |info| v1(&info));
        if let Ok(info) = known {
            by_id(client, gpu, info.id, answers);
        }
        answers.told(format!("profile {number} v2"), client.profile_v(gpu, number, Profile::V2), |p| v2(&p));
        answers.told(format!("profile {number} v3"), client.profile_v(gpu, number, Profile::V3), |p| v3(&p));
    }
    wrong(client, gpu, answers);
    for id in IDS {
        answers.told(format!("profile by id {id}"), client.profile_by_id(gpu, id), |profile| v3(&profile));
    }
}

fn by_id(client: &Client, gpu: DeviceHandle, id: u32, answers: &mut Answers) {
    answers.told(format!("placements of id {id}"), client.placements(gpu, id), |list| places(&list));
    answers.number(format!("capacity of id {id}"), client.capacity(gpu, id));
    let count = |list: Vec<_>| list.len().to_string();
    answers.told(format!("instances of id {id}"), client.gpu_instances(gpu, id), count);
}

fn wrong(client: &Client, gpu: DeviceHandle, answers: &mut Answers) {
    const SIZE: u32 = Profile::V3 & 0x00ff_ffff;
    for version in [0, 1, 4, 9] {
        let answer = client.profile_v(gpu, 0, SIZE | version << 24);
        answers.outcome(format!("profile v{version}"), answer);
    }
    answers.outcome("profile v3 without the size", client.profile_v(gpu, 0, 3));
    for bad in [99, u32::MAX] {
        answers.outcome(format!("profile {bad} v1"), client.profile(gpu, bad));
        answers.outcome(format!("placements of id {bad}"), client.placements(gpu, bad));
    }
}

/// Places as `start:size`.
pub(super) fn places(list: &[Place]) -> String {
    let all = list.iter().map(|place| format!("{}:{}", place.start, place.size));
    all.collect::<Vec<_>>().join(" ")
}

/// The figures that each version of the struct has under the same names.
macro_rules! figures {
    ($info:expr; $($field:ident)*) => {
        [$(format!(concat!(stringify!($field), "={}"), $info.$field)),*].join(" ")
    };
    ($info:expr) => {
        figures!($info; sliceCount instanceCount multiprocessorCount copyEngineCount decoderCount encoderCount jpegCount
            ofaCount memorySizeMB)
    };
}

fn v1(info: &nvmlGpuInstanceProfileInfo_t) -> String {
    format!("id={} isP2pSupported={} {}", info.id, info.isP2pSupported, figures!(info))
}

fn v2(profile: &Profile) -> String {
    let info = profile.info();
    let p2p = profile.is_p2p_supported().unwrap_or_default();
    format!("id={} isP2pSupported={p2p} {} name={:?}", info.id, figures!(info), profile.name())
}

fn v3(profile: &Profile) -> String {
    let info = profile.info();
    let name = profile.name();
    format!("id={} {} name={name:?} capabilities={}", info.id, figures!(info), info.capabilities)
}

/// Ids of the profiles that a GPU has.
pub(super) fn ids(client: &Client, gpu: DeviceHandle) -> Vec<u32> {
    let known = |number| -> Answer<u32> { Ok(client.profile(gpu, number)?.id) };
    (0..NUMBERS).filter_map(|number| known(number).ok()).collect()
}
