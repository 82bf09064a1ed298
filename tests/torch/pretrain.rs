//! `hounsfield pretrain` as a user runs it: whole trainings of a few steps on made CT, interrupted, resumed, refused.

use std::path::Path;

use hounsfield::{
    card::EncoderCard, cohort::synthetic::SyntheticCohort, progress::Progress, torch::train::Checkpoints,
};

use super::{
    command::{Said, Workshop},
    training::{self, checkpoint, killed_at, metrics},
};

const BIGBIGAN: &str = r#"
[method]
kind = "bigbigan"
accumulate = 2
ema = 0.9
schedule = { kind = "cosine", warmup = 2 }

[method.generator]
width = 4
multipliers = [4, 4, 2]
attention_after = 0
shared_dim = 4
planes = 1

[method.discriminator]
width = 8
multipliers = [1, 2, 2]
mlp_dim = 16
mlp_blocks = 1
"#;

const LEJEPA: &str = r#"
[method]
kind = "lejepa"
views = 2
directions = 16
schedule = { kind = "cosine", warmup = 2 }
"#;

/// A workshop with a cohort of 12 patients and the recipe of a training of 12 steps.
fn workshop(method: &str) -> Workshop {
    let recipe = format!(
        r#"
seed = 5
augment = "light"

[cohort]
table = "cohort/cohort.csv"
path = "file"
patient = "patient"
label = "label"
positive = "ground-glass"
site = "site"

[data]
holdout = 0.4

[encoder]
kind = "bigbigan-resnet-tiny"
width = 2
depths = [1, 1, 1, 1]
head_dim = 8
z_dim = 12
input_size = 32

[train]
steps = 12
batch = 4

[checkpoint]
every = 2
keep = 3

[watch]
log_every = 1
sheets_every = 6
evaluate_every = 6
{method}"#
    );
    let shop = Workshop::new("");
    shop.write("recipe.toml", &recipe);
    let cohort = SyntheticCohort {
        patients_per_site: 6,
        slices_per_patient: 3,
        size: 32,
        seed: 9,
    };
    std::fs::create_dir_all(shop.path("cohort")).unwrap();
    cohort.write(&shop.path("cohort"), &Progress::hidden()).unwrap();
    shop
}

fn pretrain(shop: &Workshop, run: &str, more: &[&str]) -> Said {
    training::run(shop, "pretrain", run, more)
}

fn assert_same(one: &Path, other: &Path, steps: u64) {
    let read = |run: &Path| Checkpoints::read(&checkpoint(run, steps)).unwrap();
    let (one_end, other_end) = (read(one), read(other));
    assert_eq!(one_end.stamp, other_end.stamp);
    assert!(one_end.state.len() > 20 && one_end.state.len() == other_end.state.len());
    for (name, tensor) in &one_end.state {
        assert!(tensor.equal(&other_end.state[name]), "{name} differs");
    }
    assert_eq!(metrics(one), metrics(other));
    for folder in ["encoder", "best"] {
        let card = |run: &Path| EncoderCard::load(&run.join(folder)).unwrap().card;
        assert_eq!(card(one).sha256, card(other).sha256, "{folder}");
    }
}

#[test]
fn a_training_that_was_killed_ends_as_one_that_was_not() {
    for method in [BIGBIGAN, LEJEPA] {
        let shop = workshop(method);
        let whole = pretrain(&shop, "whole", &[]);
        assert_eq!(whole.code, Some(0), "{}", whole.err);
        killed_at(&shop, "pretrain", "cut", 4);
        killed_at(&shop, "pretrain", "cut", 8);
        let rest = pretrain(&shop, "cut", &["--load-threads", "3"]);
        assert_eq!(rest.code, Some(0), "{}", rest.err);
        assert!(rest.err.contains("goes on after step"), "{}", rest.err);
        assert_same(&shop.path("whole"), &shop.path("cut"), 12);
    }
}

#[test]
fn a_torn_or_foreign_checkpoint_is_named_and_the_one_before_it_used() {
    let shop = workshop(LEJEPA);
    assert_eq!(pretrain(&shop, "whole", &[]).code, Some(0));
    killed_at(&shop, "pretrain", "cut", 6);
    let run = shop.path("cut");
    let newest = (0..=12)
        .rev()
        .map(|step| checkpoint(&run, step))
        .find(|path| path.exists())
        .unwrap();
    let bytes = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, &bytes[..bytes.len() / 2]).unwrap();
    // A file of another program, whose name is that of a later checkpoint.
    let weights = shop.path("whole/encoder/weights.safetensors");
    std::fs::copy(weights, checkpoint(&run, 11)).unwrap();
    let rest = pretrain(&shop, "cut", &[]);
    assert_eq!(rest.code, Some(0), "{}", rest.err);
    assert!(rest.err.contains("is none of this program's"), "{}", rest.err);
    assert!(
        rest.err.matches("the checkpoint before it is used").count() == 2,
        "{}",
        rest.err
    );
    assert_same(&shop.path("whole"), &run, 12);
    // A bit that flipped in the tensors.
    let last = checkpoint(&run, 12);
    let mut bytes = std::fs::read(&last).unwrap();
    let end = bytes.len() - 7;
    bytes[end] ^= 0x10;
    std::fs::write(&last, bytes).unwrap();
    assert!(Checkpoints::read(&last).unwrap_err().to_string().contains("is damaged"));
}

#[test]
fn a_changed_recipe_is_refused_with_the_keys_that_differ() {
    let shop = workshop(LEJEPA);
    assert_eq!(pretrain(&shop, "run", &[]).code, Some(0));
    let other = pretrain(&shop, "run", &["--set", "train.batch=5", "--set", "method.lambda=0.1"]);
    assert_eq!(other.code, Some(2));
    for word in [
        "`method.lambda` (was 0.05, is 0.1)",
        "`train.batch` (was 4, is 5)",
        "--restart",
    ] {
        assert!(other.err.contains(word), "{word} in {}", other.err);
    }
    let again = pretrain(&shop, "run", &["--set", "train.batch=5", "--restart"]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    // Other slices under the same recipe.
    let slice = std::fs::read_dir(shop.path("cohort/images/site-a/SYN-0001"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let other = std::fs::read_dir(shop.path("cohort/images/site-a/SYN-0002"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    std::fs::copy(other.path(), slice.path()).unwrap();
    let changed = pretrain(&shop, "run", &["--set", "train.batch=5"]);
    assert_eq!(changed.code, Some(2));
    assert!(changed.err.contains("trained on other slices"), "{}", changed.err);
}

#[test]
fn numbers_that_are_none_stop_a_training_and_leave_the_batch() {
    let shop = workshop(BIGBIGAN);
    let lr = "method.adam_generator={ lr = 1e38, beta1 = 0.0 }";
    let broken = pretrain(
        &shop,
        "run",
        &[
            "--set",
            lr,
            "--set",
            "method.schedule={ kind = \"step\", every = 1000 }",
        ],
    );
    assert_eq!(broken.code, Some(2), "{}{}", broken.out, broken.err);
    assert!(
        broken.err.contains("not finite (") && broken.err.contains("the batch that did it is kept"),
        "{}",
        broken.err
    );
    let kept: Vec<_> = std::fs::read_dir(shop.path("run/alarms")).unwrap().collect();
    assert!(kept.len() >= 2, "a picture and the numbers of each batch");
    assert!(!shop.path("run/encoder").exists());
}

#[test]
fn an_encoder_that_was_trained_is_extracted_from_by_its_card() {
    let shop = workshop(BIGBIGAN);
    let trained = pretrain(&shop, "run", &["--set", "name=mine"]);
    assert_eq!(trained.code, Some(0), "{}", trained.err);
    for name in ["samples", "pairs", "walk"] {
        assert!(
            shop.path(&format!("run/sheets/step-00000012-{name}.png")).exists(),
            "{name}"
        );
    }
    let looks: Vec<_> = metrics(&shop.path("run"))
        .into_iter()
        .filter(|line| line.contains_key("fid"))
        .collect();
    assert_eq!(looks.len(), 2);
    for name in ["probe_auc", "reconstruction_l1", "kid"] {
        assert!(looks[0].contains_key(name), "{name} in {looks:?}");
    }
    shop.write(
        "study.toml",
        r#"
[cohort]
table = "cohort/cohort.csv"
path = "file"
patient = "patient"
label = "label"
positive = "ground-glass"
site = "site"

[split]
kind = "folds"
k = 2

[encoder]
kind = "card"
path = "run/encoder"

[features]
layers = ["z_mean", "avepool_feat"]

[probe]
heads = ["logistic"]
"#,
    );
    let study = shop.run(&[]);
    assert_eq!(study.code, Some(0), "{}", study.err);
    assert!(!study.out.contains("UNTRAINED"), "{}", study.out);
    let card = EncoderCard::load(&shop.path("run/encoder")).unwrap().card;
    let training = card.training.unwrap();
    assert_eq!(
        (card.name.as_str(), training.steps, training.method.as_str()),
        ("mine", 12, "bigbigan")
    );
    // Three batches of two times four slices a step.
    assert_eq!(training.images, 12 * 3 * 2 * 4);

    // Fine-tuning from the card's weights leaves frozen statistics as they were.
    let start = format!(
        "encoder.weights={}",
        shop.path("run/encoder/weights.safetensors").display()
    );
    let policy = "method.batch_norm=frozen";
    let tuned = pretrain(
        &shop,
        "tuned",
        &["--set", &start, "--set", policy, "--set", "train.steps=2"],
    );
    assert_eq!(tuned.code, Some(0), "{}", tuned.err);
    let tensors = |run: &str| {
        let bytes = std::fs::read(shop.path(run).join("encoder/weights.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let read = |(name, view): (&str, safetensors::tensor::TensorView)| (name.to_owned(), view.data().to_vec());
        file.iter().map(read).collect::<std::collections::BTreeMap<_, _>>()
    };
    let (before, after) = (tensors("run"), tensors("tuned"));
    for (name, values) in &before {
        assert_eq!(*values == after[name], name.contains("running_"), "{name}");
    }
    let tuned = EncoderCard::load(&shop.path("tuned/encoder"))
        .unwrap()
        .card
        .training
        .unwrap();
    assert_eq!(tuned.started_from.as_ref(), card.sha256.get("weights.safetensors"));
    assert!(tuned.batch_norm.starts_with("frozen"));
}

/// The numbers of the first step of a training.
fn first_step(shop: &Workshop, run: &str, more: &[&str]) -> serde_json::Map<String, serde_json::Value> {
    let said = pretrain(
        shop,
        run,
        &[&["--set", "train.steps=2", "--set", "watch.evaluate_every=0"], more].concat(),
    );
    assert_eq!(said.code, Some(0), "{}", said.err);
    metrics(&shop.path(run)).swap_remove(0)
}

#[test]
fn precision_and_what_is_kept_hardly_change_the_first_step() {
    for method in [BIGBIGAN, LEJEPA] {
        let shop = workshop(method);
        let plain = first_step(&shop, "plain", &[]);
        let recomputed = first_step(&shop, "recomputed", &["--set", "train.recompute=true"]);
        let half = first_step(
            &shop,
            "half",
            &["--set", "train.precision=bf16", "--set", "train.recompute=true"],
        );
        let number = |line: &serde_json::Map<_, serde_json::Value>, name: &str| line[name].as_f64().unwrap();
        for name in plain
            .keys()
            .filter(|name| name.starts_with("loss") || name.starts_with("grad"))
        {
            let (a, b, c) = (number(&plain, name), number(&recomputed, name), number(&half, name));
            assert!(
                (a - b).abs() <= 1e-5 * a.abs().max(1.0),
                "{name} recomputed: {b} instead of {a}"
            );
            // Batch norms over four values turn the rounding of bf16 into other gradients: losses alone are compared.
            let of_forward = ["loss", "loss_disc"].contains(&name.as_str());
            assert!(
                !of_forward || (a - c).abs() <= 0.02 * a.abs(),
                "{name} in bf16: {c} instead of {a}"
            );
        }
        assert_ne!(number(&plain, "grad_enc"), number(&half, "grad_enc"), "bf16 is idle");
    }
}

#[test]
fn a_training_ends_early_when_looks_do_not_get_better() {
    let shop = workshop(LEJEPA);
    let ended = pretrain(
        &shop,
        "run",
        &["--set", "watch.evaluate_every=1", "--set", "watch.patience=2"],
    );
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("ended early, after "), "{}", ended.out);
    assert!(shop.path("run/encoder/encoder.toml").exists() && shop.path("run/best/encoder.toml").exists());
    let none = pretrain(&shop, "none", &["--set", "watch.patience=2", "--set", "watch.best=kid"]);
    assert_eq!(none.code, Some(2));
    assert!(none.err.contains("`watch.best` needs a generator"), "{}", none.err);
}

/// The recipe of a fine-tuning that starts from three networks, as from a converted module.
#[test]
fn networks_to_start_from_are_taken_whole_or_refused_by_name() {
    use hounsfield::{
        method::MethodConfig,
        recipe::Pretrain,
        torch::weights::{self, WeightMap},
    };
    let shop = workshop(BIGBIGAN);
    let recipe = Pretrain::load(&shop.path("recipe.toml"), &[]).unwrap();
    let MethodConfig::BigBiGan(method) = &recipe.method else {
        panic!("the recipe is of a BigBiGAN")
    };
    let mut tensors: WeightMap = weights::random(&recipe.encoder, 77).unwrap();
    tensors.extend(weights::orthogonal(&method.generator.tensors(12), 77).unwrap());
    tensors.extend(weights::orthogonal(&method.discriminator.tensors(12), 77).unwrap());
    let file = shop.path("training.safetensors");
    weights::save(&tensors, &file).unwrap();
    let frozen = [
        "--set",
        "method.batch_norm=frozen",
        "--set",
        "method.networks=training.safetensors",
    ];
    let (started, fresh) = (
        first_step(&shop, "started", &frozen),
        first_step(&shop, "fresh", &frozen[..2]),
    );
    assert_ne!(started["loss_disc"], fresh["loss_disc"]);
    let card = EncoderCard::load(&shop.path("started/encoder")).unwrap().card;
    assert!(card.training.unwrap().started_from.is_some());

    // The file has become another one: the card would name weights that the training never saw.
    let facts = crate::command::read(&shop.path("started/recipe.toml"));
    let mut others: WeightMap = tensors
        .iter()
        .map(|(name, t)| (name.clone(), t.shallow_clone()))
        .collect();
    others.extend(weights::random(&recipe.encoder, 78).unwrap());
    weights::save(&others, &file).unwrap();
    let moved = pretrain(
        &shop,
        "started",
        &[
            &["--set", "train.steps=2", "--set", "watch.evaluate_every=0"],
            frozen.as_slice(),
        ]
        .concat(),
    );
    assert_eq!(moved.code, Some(2), "{}", moved.err);
    assert!(
        moved.err.contains("this training began from weights of SHA-256"),
        "{}",
        moved.err
    );
    assert_eq!(crate::command::read(&shop.path("started/recipe.toml")), facts);

    tensors.remove("disc.score_x.weight");
    tensors.insert(
        "disc.score_y.weight".to_owned(),
        tensors["disc.score_z.weight"].shallow_clone(),
    );
    weights::save(&tensors, &file).unwrap();
    let refused = pretrain(&shop, "refused", &frozen);
    assert_eq!(refused.code, Some(2));
    for name in [
        "missing (1): disc.score_x.weight",
        "unexpected (1): disc.score_y.weight",
    ] {
        assert!(refused.err.contains(name), "{}", refused.err);
    }
}

/// Three windows are three planes of the slices that are trained on, shown and written to the card; a generator draws grey ones.
#[test]
fn an_encoder_is_trained_on_three_windows_and_a_generator_is_not() {
    let windows =
        "preprocess={ kind = \"standard\", windows = [\"lung\", \"mediastinum\", \"wide\"], crop = \"body\" }";
    let shop = workshop(LEJEPA);
    let grey = pretrain(&shop, "grey", &["--set", "train.steps=4"]);
    assert_eq!(grey.code, Some(0), "{}", grey.err);
    let three = pretrain(&shop, "three", &["--set", "train.steps=4", "--set", windows]);
    assert_eq!(three.code, Some(0), "{}", three.err);
    // Decoded anew each time, since three planes are more than is kept: the same numbers.
    let decoded = ["--set", "train.steps=4", "--set", windows, "--set", "data.memory_mb=0"];
    let decoded = pretrain(&shop, "decoded", &decoded);
    assert_eq!(decoded.code, Some(0), "{}", decoded.err);
    assert_eq!(metrics(&shop.path("three")), metrics(&shop.path("decoded")));
    assert_ne!(metrics(&shop.path("three")), metrics(&shop.path("grey")));
    let card = EncoderCard::load(&shop.path("three/encoder")).unwrap().card;
    assert_eq!(card.preprocess.planes(), 3);

    let shop = workshop(BIGBIGAN);
    let refused = pretrain(&shop, "run", &["--set", windows]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(
        refused.err.contains("draws grey slices: name one window"),
        "{}",
        refused.err
    );
}
