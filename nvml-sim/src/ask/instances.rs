//! What is there with MIG on: instances, their compute profiles, and MIG devices. No line without instances.

use super::profiles::{ids, places};
use super::{Answers, NAME, anonymous_uuid};
use crate::client::{Client, ComputeInstanceHandle, DeviceHandle, GpuInstanceHandle};
use crate::code::Answer;

/// Compute instance profiles asked for: those of nvml.h and some past them.
const COMPUTE_NUMBERS: u32 = 12;

pub(super) fn ask(client: &Client, gpu: DeviceHandle, answers: &mut Answers) {
    for id in ids(client, gpu) {
        for instance in client.gpu_instances(gpu, id).unwrap_or_default() {
            gpu_instance(client, instance, answers);
        }
    }
    for index in 0..client.max_mig_devices(gpu).unwrap_or(0) {
        let device = client.mig_device(gpu, index);
        answers.told(format!("MIG device {index}"), device, |device| mig_device(client, device));
    }
}

fn gpu_instance(client: &Client, handle: GpuInstanceHandle, answers: &mut Answers) {
    let Ok(info) = client.gpu_instance(handle) else { return };
    let gi = info.id;
    let place = format!("{}:{}", info.placement.start, info.placement.size);
    let device = named(client, client.named(info.device));
    answers.say(format!("gi {gi}"), format!("profile {} at {place}, device {device}", info.profileId));
    for number in 0..COMPUTE_NUMBERS {
        let key = format!("gi {gi} compute profile {number}");
        let profile = client.compute_profile(handle, number);
        answers.told(key.clone(), profile, |p| {
            format!(
                "id={} sliceCount={} instanceCount={} multiprocessorCount={} sharedCopyEngineCount={} \
                 sharedDecoderCount={} sharedEncoderCount={} sharedJpegCount={} sharedOfaCount={}",
                p.id,
                p.sliceCount,
                p.instanceCount,
                p.multiprocessorCount,
                p.sharedCopyEngineCount,
                p.sharedDecoderCount,
                p.sharedEncoderCount,
                p.sharedJpegCount,
                p.sharedOfaCount
            )
        });
        let Ok(profile) = profile else { continue };
        for version in [2, 3] {
            let name = client.compute_profile_name(handle, number, version);
            answers.told(format!("{key} name v{version}"), name, |name| format!("{name:?}"));
        }
        let id = profile.id;
        answers.told(format!("{key} placements"), client.compute_placements(handle, id), |l| places(&l));
        answers.number(format!("{key} capacity"), client.compute_capacity(handle, id));
        for compute in client.compute_instances(handle, id).unwrap_or_default() {
            compute_instance(client, gi, compute, answers);
        }
    }
}

fn compute_instance(client: &Client, gi: u32, handle: ComputeInstanceHandle, answers: &mut Answers) {
    let Ok(info) = client.compute_instance(handle) else { return };
    let place = format!("{}:{}", info.placement.start, info.placement.size);
    let device = named(client, client.named(info.device));
    let what = format!("profile {} at {place}, device {device}", info.profileId);
    answers.say(format!("gi {gi} ci {}", info.id), what);
}

/// What the handle in an info struct stands for: nvml.h says the parent.
fn named(client: &Client, device: DeviceHandle) -> String {
    match client.is_mig(device) {
        Ok(0) => "is the GPU".to_owned(),
        Ok(_) => "is a MIG device".to_owned(),
        Err(code) => code.to_string(),
    }
}

fn mig_device(client: &Client, device: DeviceHandle) -> String {
    let number = |answer: Answer<u32>| answer.map_or_else(|code| code.to_string(), |n| n.to_string());
    let uuid = client.uuid(device, NAME).map_or_else(|c| c.to_string(), |uuid| anonymous_uuid(&uuid));
    let name = client.name(device, NAME).unwrap_or_else(|code| code.to_string());
    let figures = client.attributes(device).map_or_else(
        |code| code.to_string(),
        |a| {
            format!(
                "{} SMs, slices {} of {}, {} MiB",
                a.multiprocessorCount, a.computeInstanceSliceCount, a.gpuInstanceSliceCount, a.memorySizeMB
            )
        },
    );
    let memory = client
        .memory_v2(device)
        .map_or_else(|code| code.to_string(), |m| format!("total={} reserved={}", m.total, m.reserved));
    format!(
        "gi {} ci {}, index {}, {uuid}, {name:?}, {figures}, memory {memory}",
        number(client.gpu_instance_id(device)),
        number(client.compute_instance_id(device)),
        number(client.index(device)),
    )
}
