//! The crate's error: one variant for each room that can fail.

/// A `Result` whose error is the crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Anything that can go wrong in this crate, for callers that use several rooms.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Error {
    #[error(transparent)]
    Tables(#[from] crate::tables::TableError),
    #[error(transparent)]
    Write(#[from] crate::tables::WriteError),
    #[error(transparent)]
    Stats(#[from] crate::stats::StatsError),
    #[error(transparent)]
    Read(#[from] crate::readers::ReadError),
    #[error(transparent)]
    Preprocess(#[from] crate::transforms::PreprocessError),
    #[error(transparent)]
    Augment(#[from] crate::transforms::AugmentError),
    #[error(transparent)]
    ScanInput(#[from] crate::transforms::ScanInputError),
    #[error(transparent)]
    Encoder(#[from] crate::encoder::EncoderError),
    #[error(transparent)]
    Pickle(#[from] crate::encoder::PickleError),
    #[error(transparent)]
    Hub(#[from] crate::hub::HubError),
    #[error(transparent)]
    Card(#[from] crate::card::CardError),
    #[error(transparent)]
    Convert(#[from] crate::convert::ConvertError),
    #[error(transparent)]
    Names(#[from] crate::convert::names::OverridesError),
    #[error(transparent)]
    Cohort(#[from] crate::cohort::CohortError),
    #[error(transparent)]
    Index(#[from] crate::index::IndexError),
    #[error(transparent)]
    Scans(#[from] crate::scans::ScanError),
    #[error(transparent)]
    Features(#[from] crate::features::FeatureError),
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
    #[error(transparent)]
    Head(#[from] crate::heads::HeadError),
    #[error(transparent)]
    Eval(#[from] crate::eval::EvalError),
    #[error(transparent)]
    ScoreTable(#[from] crate::eval::ScoreTableError),
    #[error(transparent)]
    Claims(#[from] crate::claims::ClaimsError),
    #[error(transparent)]
    ReaderStudy(#[from] crate::eval::reader_study::ReaderStudyError),
    #[error(transparent)]
    Audit(#[from] crate::audit::AuditError),
    #[error(transparent)]
    Recipe(#[from] crate::recipe::RecipeError),
    #[error(transparent)]
    Explain(#[from] crate::explain::ExplainError),
    #[error(transparent)]
    Study(#[from] crate::study::StudyError),
    #[error(transparent)]
    Preview(#[from] crate::preview::PreviewError),
    #[error(transparent)]
    Method(#[from] crate::method::MethodError),
    #[cfg(feature = "torch")]
    #[error(transparent)]
    Pretrain(#[from] crate::pretrain::PretrainError),
    #[cfg(feature = "torch")]
    #[error(transparent)]
    Torch(#[from] crate::torch::TorchError),
}
