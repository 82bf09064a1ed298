//! A TorchScript program as an encoder: others wrote the network, here it is called and what it gives is checked.
//!
//! A script can't reach Python, but it is a program all the same: it computes what its author wrote.

use std::path::Path;

use tch::{CModule, Device, IValue, Kind, TchError, Tensor};

use super::super::{TorchError, weights};
use super::pixels::Pixels;
use crate::{
    encoder::{At, Layer, ScriptOutput, TorchScript},
    tables::sha256_bytes,
};

/// A program, and what its settings say of it.
#[derive(Debug)]
pub(super) struct Script {
    module: CModule,
    settings: TorchScript,
    pixels: Pixels,
}

impl Script {
    /// Loads a program for a device, in evaluation mode; the file's SHA-256 beside it.
    ///
    /// # Errors
    ///
    /// A file that can't be read or is no program.
    pub fn open(settings: &TorchScript, path: &Path, device: Device) -> Result<(Self, String), TorchError> {
        let bytes = weights::read_any(path)?;
        let sha256 = sha256_bytes(&bytes);
        let loaded = CModule::load_data_on_device(&mut bytes.as_slice(), device);
        let mut module = loaded.map_err(|error| TorchError::NoScript {
            what: last_words(error),
            path: path.to_owned(),
        })?;
        module.f_set_eval()?;
        let pixels = match (&settings.mean, &settings.std) {
            (Some(mean), Some(std)) => Pixels::new(mean, std, device)?,
            _ => Pixels::as_they_are(settings.planes, device)?,
        };
        let script = Self {
            module,
            settings: settings.clone(),
            pixels,
        };
        Ok((script, sha256))
    }

    /// Chosen layers of `[N, 3, S, S]` in `[-1, 1]`, in their order.
    ///
    /// # Errors
    ///
    /// A script that fails, or gives something else than its settings say.
    pub fn outputs(&self, x: &Tensor, layers: &[Layer]) -> Result<Vec<Tensor>, TorchError> {
        // Where the script takes one plane all are equal: recipes are checked. It may write over what it is given, a copy.
        let x = self.pixels.forward(&x.f_narrow(1, 0, self.settings.planes as i64)?)?;
        let found = x.size();
        let n = found[0];
        let method = &self.settings.method;
        let given = self.module.method_is(method, &[IValue::Tensor(x)]);
        let given = given.map_err(|error| TorchError::Script {
            method: method.clone(),
            found,
            what: last_words(error),
        })?;
        let outputs = layers
            .iter()
            .filter_map(|layer| self.settings.outputs.get_key_value(layer));
        outputs
            .map(|(layer, output)| checked(&given, *layer, output, n))
            .collect()
    }
}

/// The output `[N, F]` of a layer. `[N, F, 1, 1]`, what a trunk gives after its pool, is taken as well.
fn checked(given: &IValue, layer: Layer, output: &ScriptOutput, n: i64) -> Result<Tensor, TorchError> {
    let refused = |found: String, expected: String| TorchError::ScriptOutput { layer, found, expected };
    let tensor = match part(given, output.at.as_ref()) {
        Some(IsTensor::Yes(tensor)) => tensor,
        Some(IsTensor::No(found)) => return Err(refused(found, "a tensor".to_owned())),
        None => {
            let expected = match &output.at {
                None => "a lone tensor (say which part is meant with `at`)".to_owned(),
                Some(at @ At::Index(_)) => format!("a tuple or list with a part {at}, from 0"),
                Some(at @ At::Key(_)) => format!("a dictionary with the key {at}"),
            };
            return Err(refused(in_words(given), expected));
        }
    };
    let (size, width) = (tensor.size(), output.width as i64);
    let fits = matches!(size.as_slice(), [a, b] | [a, b, 1, 1] if (*a, *b) == (n, width));
    if !fits || tensor.kind() != Kind::Float {
        let found = format!("a tensor {size:?} of {:?}", tensor.kind());
        return Err(refused(found, format!("[{n}, {width}] of 32-bit floats (Float)")));
    }
    Ok(tensor.f_reshape([n, width])?)
}

/// What stands at a place.
enum IsTensor<'a> {
    Yes(&'a Tensor),
    No(String),
}

/// What a script gives at a place, if there is such a place.
fn part<'a>(given: &'a IValue, at: Option<&At>) -> Option<IsTensor<'a>> {
    let found = match (given, at) {
        (IValue::Tensor(_), None) => given,
        (IValue::Tuple(parts) | IValue::GenericList(parts), Some(At::Index(index))) => parts.get(*index)?,
        (IValue::TensorList(parts), Some(At::Index(index))) => return parts.get(*index).map(IsTensor::Yes),
        (IValue::GenericDict(parts), Some(At::Key(key))) => {
            let is_it = |name: &IValue| matches!(name, IValue::String(name) if name == key);
            &parts.iter().find(|(name, _)| is_it(name))?.1
        }
        _ => return None,
    };
    Some(match found {
        IValue::Tensor(tensor) => IsTensor::Yes(tensor),
        other => IsTensor::No(in_words(other)),
    })
}

/// What a script gives, without its values.
fn in_words(given: &IValue) -> String {
    match given {
        IValue::Tensor(tensor) => format!("a tensor {:?}", tensor.size()),
        IValue::Tuple(parts) => format!("a tuple of {} parts", parts.len()),
        IValue::TensorList(parts) => format!("a list of {} tensors", parts.len()),
        IValue::GenericList(parts) => format!("a list of {} parts", parts.len()),
        IValue::GenericDict(parts) => {
            let key = |(key, _): &(IValue, IValue)| match key {
                IValue::String(key) => format!("{key:?}"),
                _ => "one that is no text".to_owned(),
            };
            let keys: Vec<String> = parts.iter().map(key).collect();
            format!("a dictionary with the keys {}", keys.join(", "))
        }
        IValue::None => "nothing".to_owned(),
        _ => "neither a tensor nor a tuple, list or dictionary".to_owned(),
    }
}

/// The line that says what went wrong: libtorch puts a trace of the script before it and one of its own behind.
fn last_words(error: TchError) -> String {
    let text = match error {
        TchError::Torch(text) => text,
        other => other.to_string(),
    };
    let said = text.lines().rfind(|line| line.contains("Error: "));
    let said = said.or_else(|| text.lines().find(|line| !line.trim().is_empty()));
    said.unwrap_or("no reason given").trim().to_owned()
}
