//! Tests without libtorch, in one binary.

mod images;
