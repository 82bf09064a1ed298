//! A fitted head in one safetensors file: arrays in double precision, all else as JSON in the file's metadata.

use std::{
    collections::{BTreeMap, HashMap},
    io::Write as _,
    path::Path,
};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{FitSummary, FittedHead, HeadError, Standardizer, Tensor64};

/// The key of the file's metadata that holds [`Header`].
const KEY: &str = "hounsfield.head";

/// Raised with every change that older programs would misread.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    summary: FitSummary,
    metadata: BTreeMap<String, String>,
}

impl FittedHead {
    /// Writes the head, its standardisation, how it was fitted and [`FittedHead::metadata`] into one file.
    ///
    /// The file appears whole or not at all. A `knn` holds all training features, an `svm-rbf` its support vectors.
    pub fn save(&self, path: &Path) -> Result<(), HeadError> {
        let failed = |source: std::io::Error| HeadError::Io {
            doing: "writing",
            source,
            path: path.to_owned(),
        };
        let bytes = self.to_bytes().map_err(|error| failed(std::io::Error::other(error)))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        builder.prefix(".head-");
        #[cfg(unix)]
        {
            // A temporary file is its owner's alone; the finished one follows the umask like any other.
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
        file.write_all(&bytes).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let mut tensors = self.head().tensors();
        if let Some(standardizer) = self.standardizer() {
            tensors.insert(
                "standardizer.mean".to_owned(),
                Tensor64::vector(standardizer.mean().to_vec()),
            );
            tensors.insert(
                "standardizer.scale".to_owned(),
                Tensor64::vector(standardizer.scale().to_vec()),
            );
        }
        let data: BTreeMap<&String, Vec<u8>> = tensors
            .iter()
            .map(|(name, tensor)| {
                (
                    name,
                    tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect(),
                )
            })
            .collect();
        let views = tensors
            .iter()
            .map(|(name, tensor)| {
                let view = TensorView::new(Dtype::F64, tensor.shape.clone(), &data[name]);
                view.map(|view| (name.clone(), view)).map_err(|error| error.to_string())
            })
            .collect::<Result<Vec<_>, _>>()?;
        let header = Header {
            version: VERSION,
            summary: self.summary().clone(),
            metadata: self.metadata.clone(),
        };
        let header = serde_json::to_string(&header).map_err(|error| error.to_string())?;
        // One key only: the crate writes several in the order of a hash map, and files of equal heads should be equal.
        let metadata = HashMap::from([(KEY.to_owned(), header)]);
        safetensors::serialize(views, Some(metadata)).map_err(|error| error.to_string())
    }

    /// Reads what [`FittedHead::save`] wrote; the scores are the same to the last bit.
    ///
    /// # Errors
    ///
    /// Where the file is missing, torn, of another program or of a later version: nothing is guessed.
    pub fn load(path: &Path) -> Result<Self, HeadError> {
        let bytes = std::fs::read(path).map_err(|source| HeadError::Io {
            doing: "reading",
            source,
            path: path.to_owned(),
        })?;
        Self::from_bytes(&bytes).map_err(|reason| HeadError::NotAHead {
            reason,
            path: path.to_owned(),
        })
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let whole = |error| format!("it is not a complete safetensors file ({error})");
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(whole)?;
        let file = SafeTensors::deserialize(bytes).map_err(whole)?;
        let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let header = header.ok_or_else(|| format!("its metadata has no `{KEY}`, so another program wrote it"))?;

        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = serde_json::from_str(header).map_err(|error| error.to_string())?;
        if version != VERSION {
            return Err(format!(
                "it is of version {version}, this program reads version {VERSION}"
            ));
        }
        let header: Header = serde_json::from_str(header).map_err(|error| error.to_string())?;

        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            if view.dtype() != Dtype::F64 {
                return Err(format!("the array `{name}` is {:?}, expected F64", view.dtype()));
            }
            let chunks = view.data().chunks_exact(size_of::<f64>());
            let values: Vec<f64> = chunks
                .map(|c| f64::from_le_bytes(c.try_into().expect("8 bytes")))
                .collect();
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(format!("the array `{name}` holds {value}"));
            }
            let shape = view.shape().to_vec();
            tensors.insert(name, Tensor64 { shape, values });
        }
        let summary = header.summary;
        let standardizer = match (
            tensors.remove("standardizer.mean"),
            tensors.remove("standardizer.scale"),
        ) {
            (None, None) => None,
            (Some(mean), Some(scale)) if mean.values.len() == summary.features => Some(
                Standardizer::from_parts(mean.values, scale.values, summary.constant_columns)
                    .ok_or("its means and scales do not go together")?,
            ),
            _ => return Err("its standardisation is not whole".to_owned()),
        };
        let head = summary.config.restore(&tensors)?;
        if head.feature_dim() != summary.features {
            let (found, expected) = (head.feature_dim(), summary.features);
            return Err(format!(
                "its arrays are of {found} features, its metadata says {expected}"
            ));
        }
        let mut fitted = Self::new(summary, standardizer, head);
        fitted.metadata = header.metadata;
        Ok(fitted)
    }
}
