//! The end of an epoch: validation, the learning rate, what is to be said, and which epoch is the best.

use std::time::Instant;

use super::{
    VolumeTraining, VolumesError, alarm,
    notes::{Best, EpochNumbers},
    run::State,
    weighting::{mean_loss, probability},
};
use crate::{
    journal::one_line,
    torch::{classifier::Classifier, train::BestMark},
};

impl VolumeTraining {
    /// Validates, decides what follows, writes it all down and saves.
    pub(super) fn end_epoch(&self, state: &mut State, seen: u64) -> Result<(), VolumesError> {
        let (recipe, data) = (&self.recipe, &self.data);
        let (step, metric) = (state.classifier.steps(), recipe.plateau.metric);
        let outputs = self.outputs(&state.classifier, &data.validation)?;
        let scores: Vec<f64> = outputs.iter().map(|outputs| probability(*outputs)).collect();
        let weights: Vec<f64> = data.validation.iter().map(|row| data.weights[*row]).collect();
        let val_loss = mean_loss(&outputs, &data.classes(&data.validation), &weights);
        if !val_loss.is_finite() {
            return Err(self.stop_at(state, step, &["val_loss"], &data.validation)?);
        }
        let trained = std::mem::take(&mut state.notes.seen);
        let (rows, train_scores): (Vec<usize>, Vec<f64>) = trained.scores.into_iter().unzip();
        let auc = |set: &str, rows: &[usize], scores: &[f64]| {
            let found = data.auc(recipe, rows, scores);
            found.map_err(VolumesError::of_scores(set))
        };
        let numbers = EpochNumbers {
            train_loss: trained.loss / trained.weight,
            train_auc: auc("training", &rows, &train_scores)?,
            val_loss,
            val_auc: auc("validation", &data.validation, &scores)?,
            lr: state.notes.plateau.lr,
        };
        let watched = numbers.watched(metric);
        let heard = recipe.plateau.hear(&mut state.notes.plateau, watched);
        let epoch = state.notes.epochs.len() as u64 + 1;
        let mut line = vec![("epoch", epoch as f64)];
        line.extend(numbers.named());
        tracing::info!("epoch {epoch}: {}", one_line(&numbers.named()));
        line.push(("seconds", state.since.elapsed().as_secs_f64()));
        state.since = Instant::now();
        state.log.write(step, seen, &line, "epoch")?;
        if heard.fell {
            tracing::info!(
                "the learning rate falls to {:.3e}: {} got no better",
                state.notes.plateau.lr,
                metric.name()
            );
        }
        state.notes.epochs.push(numbers);
        self.alarm(state, step, &scores)?;
        state.notes.ended = heard.ended || epoch == recipe.train.epochs as u64;
        let candidate = Best {
            epoch,
            step,
            value: watched,
            loss: val_loss,
        };
        let better = candidate.beats(metric, state.notes.best.as_ref());
        if better {
            state.notes.best = Some(candidate);
        }
        self.save(state)?;
        // The mark follows its checkpoint: until then the old one is kept, and what goes on from here marks it again.
        match &state.notes.best {
            Some(best) if better => Ok(state.checkpoints.mark_best(&self.mark(best))?),
            _ => Ok(()),
        }
    }

    fn alarm(&self, state: &mut State, step: u64, scores: &[f64]) -> Result<(), VolumesError> {
        let data = &self.data;
        let side = |wanted: bool| -> f64 {
            let rows = data
                .training
                .iter()
                .filter(|row| (data.cohort.positive[**row] == Some(true)) == wanted);
            rows.map(|row| data.weights[*row]).sum()
        };
        let coin = alarm::loss_of_a_coin(side(true), side(false));
        let notes = &mut state.notes;
        for alarm in alarm::after_epoch(&notes.epochs, coin, scores, &mut notes.alarmed) {
            state.log.alarm(step, &alarm)?;
        }
        Ok(())
    }

    /// The two outputs of rows, one scan after the other: no scan's score depends on its neighbours' in a batch, not even in its last bit.
    fn outputs(&self, classifier: &Classifier, rows: &[usize]) -> Result<Vec<[f64; 2]>, VolumesError> {
        let mut outputs = Vec::new();
        for row in rows {
            outputs.extend(classifier.outputs(&[self.data.scan(*row).voxels()])?);
        }
        Ok(outputs)
    }

    pub(super) fn mark(&self, best: &Best) -> BestMark {
        BestMark {
            step: best.step,
            metric: self.recipe.plateau.metric.name().to_owned(),
            value: best.value,
        }
    }
}
