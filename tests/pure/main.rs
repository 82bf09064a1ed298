//! Tests that need no libtorch: one binary, one module a room.

mod archive;
mod audit;
mod augment;
mod augment_scan;
mod bundle;
mod calibration;
mod card;
#[path = "../support/checkpoint.rs"]
mod checkpoint;
mod claims;
#[path = "../support/command.rs"]
mod command;
mod compare;
mod confidential;
mod convergence;
mod convert;
mod coverage;
mod describe;
mod dicom;
#[path = "../support/dicom.rs"]
mod dicom_files;
mod distances;
mod eval;
mod evaluate;
mod explain;
mod features;
mod heads;
mod hub;
#[path = "../support/hub_server.rs"]
mod hub_server;
mod images;
mod index;
mod module;
mod names;
mod other_encoders;
mod plateau;
mod preview;
mod readers;
#[path = "../support/renaming.rs"]
mod renaming;
mod roc;
mod scans;
#[path = "../support/sha1.rs"]
mod sha1;
mod study;
mod tables;
mod tests_of_counts;
mod volume;
mod volumes_measure;
mod weights;
