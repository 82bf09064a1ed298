//! The hub: repositories of weights that are named as `hf://org/repo[@revision][/file]`, and a cache of what was fetched.
//!
//! Files come over https from the hub's own addresses, <https://huggingface.co/docs/hub/api>, and lie in the cache that its
//! Python client uses, so that both share it: what one fetched the other does not fetch again,
//! <https://huggingface.co/docs/huggingface_hub/guides/manage-cache>. Nothing is asked of the network unless such an address is
//! named, and nothing at all for a file of a full commit that is in the cache.
//!
//! The crate `hf-hub` says how the cache is laid out. Its downloads are not used: it takes whatever bytes come, checks no hash, waits
//! for no `Retry-After`, has no offline mode, and goes on with a part of whatever file lay there.
//!
//! The token is read from the environment only, is sent to the hub's own host only, and stands in no message.

mod address;
mod cache;
mod download;
mod error;
mod lfs;
mod pull;
mod push;
mod settings;
mod wire;

pub use address::{Address, AddressError};
pub use download::{Downloaded, download};
pub use error::HubError;
pub use pull::{Fetched, Snapshot, WEIGHTS};
pub use push::{Push, Pushed};
pub use settings::{Hub, HubBuilder, Patience, Token};
