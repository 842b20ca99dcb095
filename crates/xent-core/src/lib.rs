//! xent-core
