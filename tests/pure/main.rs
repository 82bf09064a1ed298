//! Tests that need no libtorch.

mod eval;
