//! Where a network runs: `cpu`, `cuda`, `cuda:N` or `auto`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

use super::{
    TorchError,
    ffi::{Autocast, Cuda, cuda_free_memory, load_cuda},
};
use crate::method::Precision;

/// A device as it is asked for on the command line or in a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// The processor.
    Cpu,
    /// The numbered CUDA device. Its absence is an error.
    Cuda(usize),
    /// The first CUDA device where there is one, else the processor.
    #[default]
    Auto,
}

impl DeviceChoice {
    /// The device, checked to be there.
    ///
    /// # Errors
    ///
    /// When CUDA was asked for and is not to be had: the message says which step failed.
    pub fn resolve(self) -> Result<Device, TorchError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(wanted) => cuda(wanted),
            Self::Auto => Ok(cuda(0).unwrap_or(Device::Cpu)),
        }
    }
}

fn cuda(wanted: usize) -> Result<Device, TorchError> {
    match load_cuda() {
        Cuda::Loaded => {}
        Cuda::NoDriver => return Err(TorchError::NoDriver),
        Cuda::Unusable(why) => return Err(TorchError::CudaUnusable { why: why.clone() }),
        Cuda::Unsupported => return Err(TorchError::CudaUnsupported),
    }
    let found = tch::Cuda::device_count();
    match i64::try_from(wanted) {
        Ok(number) if number < found => Ok(Device::Cuda(wanted)),
        _ => Err(TorchError::NoCudaDevice { found, wanted }),
    }
}

impl FromStr for DeviceChoice {
    type Err = TorchError;

    fn from_str(text: &str) -> Result<Self, TorchError> {
        let unknown = || TorchError::UnknownDevice { found: text.to_owned() };
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "auto" => Ok(Self::Auto),
            _ => {
                let digits = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                // `parse` alone would also take "+1".
                if !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(unknown());
                }
                digits.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = TorchError;

    fn try_from(text: String) -> Result<Self, TorchError> {
        text.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(device: DeviceChoice) -> Self {
        device.to_string()
    }
}

/// Begins a precision for operations on this thread, until what it gives is dropped; nothing for 32-bit floats.
///
/// # Errors
///
/// When libtorch knows no autocast for the device.
pub fn autocast(precision: Precision, device: Device) -> Result<Option<Autocast>, TorchError> {
    match precision {
        Precision::Float32 => Ok(None),
        Precision::BFloat16 => Autocast::enter(device, Kind::BFloat16).map(Some),
    }
}

/// Bytes that this process can still take on a device: of main memory what the kernel calls available, less where a container is limited;
/// of a CUDA device what the driver calls free. `None` where it can't be known.
pub fn free_memory(device: Device) -> Option<u64> {
    match device {
        Device::Cpu => crate::baseline::free_memory(),
        Device::Cuda(number) => cuda_free_memory(number),
        Device::Mps | Device::Vulkan => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (text, device) in [
            ("cpu", DeviceChoice::Cpu),
            ("auto", DeviceChoice::Auto),
            ("cuda:0", DeviceChoice::Cuda(0)),
            ("cuda:12", DeviceChoice::Cuda(12)),
        ] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap(), device);
            assert_eq!(device.to_string(), text);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(0));
    }

    #[test]
    fn other_names_are_refused() {
        for text in [
            "",
            "gpu",
            "CPU",
            "cuda:",
            "cuda:x",
            "cuda:-1",
            "cuda:+1",
            "cuda: 1",
            "cuda:99999999999999999999",
        ] {
            assert!(text.parse::<DeviceChoice>().is_err(), "accepted {text:?}");
        }
    }

    #[test]
    fn cuda_is_there_or_the_error_says_which_step_failed() {
        match DeviceChoice::Cuda(0).resolve() {
            Ok(device) => assert_eq!(device, Device::Cuda(0)),
            Err(error) => assert!(error.to_string().starts_with("no CUDA: "), "{error}"),
        }
        assert!(DeviceChoice::Auto.resolve().is_ok());
        assert!(DeviceChoice::Cuda(10_000).resolve().is_err());
    }

    #[test]
    fn free_memory_is_known_of_what_is_there_and_of_nothing_else() {
        if cfg!(target_os = "linux") {
            assert!(free_memory(Device::Cpu).is_some_and(|bytes| bytes > 1 << 20));
        }
        if let Ok(device) = DeviceChoice::Cuda(0).resolve() {
            assert!(free_memory(device).is_some_and(|bytes| bytes > 1 << 20));
        }
        assert_eq!(free_memory(Device::Cuda(10_000)), None);
    }
}
