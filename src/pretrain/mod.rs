//! Pretraining: a recipe, a folder, and what stands in it afterwards.
//!
//! | file | what |
//! |---|---|
//! | `recipe.toml` | the recipe with all its defaults |
//! | `data.csv` | which slices were trained on and which patients held out, under pseudonyms |
//! | `metrics.jsonl` | losses, norms, learning rates, and the looks at the encoder |
//! | `events/` | the same for TensorBoard, with sheets |
//! | `sheets/` | drawn slices, reconstructions, walks, as PNG |
//! | `checkpoints/` | what is needed to go on; the last ones and the best |
//! | `best/` | the best encoder by the number that the recipe names, with its card |
//! | `encoder/` | the encoder after the last step, with its card |

mod alarm;
mod card;
mod data;
mod error;
mod loader;
mod run;
mod watch;

pub use self::{
    alarm::Alarms,
    data::Data,
    error::PretrainError,
    loader::LOADER,
    run::{Options, Outcome, Pretraining},
    watch::Watch,
};
