//! The part of a [`Document`](super::Document) that says what a GPU can be cut into.

use mig::{ComputeSpec, Engines, Geometry, Profile, Spec};
use serde::{Deserialize, Serialize};

/// What a GPU can be cut into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeometryDocument {
    /// Placement units.
    pub units: u8,
    /// Compute slices.
    pub slices: u8,
    /// GPU instance profiles.
    pub profiles: Vec<SpecDocument>,
}

/// One GPU instance profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecDocument {
    /// Its name.
    pub name: String,
    /// NVML's profile id on this GPU.
    pub id: u32,
    /// Length of its span, in placement units.
    pub size: u8,
    /// Legal starts.
    pub starts: Vec<u8>,
    /// How many a GPU can hold.
    pub max: u8,
    /// Streaming multiprocessors.
    pub sms: Option<u32>,
    /// Memory, in MiB.
    pub memory_mib: Option<u64>,
    /// Copy engines.
    pub copy_engines: Option<u8>,
    /// Video decoders.
    pub decoders: Option<u8>,
    /// Video encoders.
    pub encoders: Option<u8>,
    /// JPEG decoders.
    pub jpeg_decoders: Option<u8>,
    /// Optical flow accelerators.
    pub optical_flow: Option<u8>,
    /// Compute instance profiles.
    pub compute: Vec<ComputeSpecDocument>,
}

/// One compute instance profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeSpecDocument {
    /// NVML's profile id.
    pub id: u32,
    /// Compute slices.
    pub slices: u8,
    /// How many fit in one GPU instance.
    pub max: u8,
    /// Streaming multiprocessors.
    pub sms: Option<u32>,
}

/// A profile by its name.
pub(super) fn profile(name: &str) -> Result<Profile, String> {
    name.parse().map_err(|error: mig::ProfileError| error.to_string())
}

impl From<&Geometry> for GeometryDocument {
    fn from(geometry: &Geometry) -> Self {
        let profiles = geometry.specs.iter().map(SpecDocument::from).collect();
        GeometryDocument { units: geometry.units, slices: geometry.slices, profiles }
    }
}

impl GeometryDocument {
    pub(super) fn read(self) -> Result<Geometry, String> {
        let specs: Result<Vec<_>, String> = self.profiles.into_iter().map(SpecDocument::read).collect();
        Ok(Geometry { units: self.units, slices: self.slices, specs: specs? })
    }
}

impl From<&Spec> for SpecDocument {
    fn from(spec: &Spec) -> Self {
        let Engines { copy, decoder, encoder, jpeg, ofa } = spec.engines;
        SpecDocument {
            name: spec.profile.to_string(),
            id: spec.id,
            size: spec.size,
            starts: spec.starts.clone(),
            max: spec.max,
            sms: spec.sms,
            memory_mib: spec.memory_mib,
            copy_engines: copy,
            decoders: decoder,
            encoders: encoder,
            jpeg_decoders: jpeg,
            optical_flow: ofa,
            compute: spec.compute.iter().map(ComputeSpecDocument::from).collect(),
        }
    }
}

impl SpecDocument {
    fn read(self) -> Result<Spec, String> {
        Ok(Spec {
            profile: profile(&self.name)?,
            id: self.id,
            size: self.size,
            starts: self.starts,
            max: self.max,
            sms: self.sms,
            memory_mib: self.memory_mib,
            engines: Engines {
                copy: self.copy_engines,
                decoder: self.decoders,
                encoder: self.encoders,
                jpeg: self.jpeg_decoders,
                ofa: self.optical_flow,
            },
            compute: self.compute.into_iter().map(ComputeSpec::from).collect(),
        })
    }
}

impl From<&ComputeSpec> for ComputeSpecDocument {
    fn from(c: &ComputeSpec) -> Self {
        ComputeSpecDocument { id: c.id, slices: c.slices, max: c.max, sms: c.sms }
    }
}

impl From<ComputeSpecDocument> for ComputeSpec {
    fn from(c: ComputeSpecDocument) -> Self {
        ComputeSpec { id: c.id, slices: c.slices, max: c.max, sms: c.sms }
    }
}
