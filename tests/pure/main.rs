//! Tests that need no libtorch, in one binary.

mod heads;
