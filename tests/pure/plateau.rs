//! Learning rates that fall and trainings that end, against PyTorch.

use hounsfield::method::{Plateau, PlateauState};
use serde_json::Value;

/// A number, or the word of one that JSON has not.
fn number(value: &Value) -> f64 {
    match value {
        Value::String(word) => word.parse().unwrap(),
        number => number.as_f64().unwrap(),
    }
}

/// Expected: `torch.optim.lr_scheduler.ReduceLROnPlateau` on 200 random sequences, PyTorch 2.13; see make_plateau.py.
#[test]
fn learning_rates_and_ends_are_those_of_pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/plateau/plateau.json");
    let oracle: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = oracle["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 200);
    let mut falls = 0;
    for (at, case) in cases.iter().enumerate() {
        let plateau: Plateau = serde_json::from_value(case["plan"].clone()).unwrap();
        let mut state = plateau.start(case["lr"].as_f64().unwrap());
        let (metrics, rates) = (case["metrics"].as_array().unwrap(), case["rates"].as_array().unwrap());
        let mut ended = None;
        for (epoch, (metric, rate)) in metrics.iter().zip(rates).enumerate() {
            let heard = plateau.hear(&mut state, number(metric));
            falls += usize::from(heard.fell);
            assert_eq!(
                state.lr,
                rate.as_f64().unwrap(),
                "sequence {at}, epoch {}: {plateau:?}",
                epoch + 1
            );
            if heard.ended && ended.is_none() {
                ended = Some(epoch as u64 + 1);
            }
            // What a checkpoint keeps is all there is.
            if state.best.is_none_or(f64::is_finite) {
                let text = serde_json::to_string(&state).unwrap();
                state = serde_json::from_str::<PlateauState>(&text).unwrap();
            }
        }
        assert_eq!(ended, case["ended"].as_u64(), "sequence {at}: {plateau:?}");
    }
    assert!(falls > 200, "only {falls} falls were seen");
}
