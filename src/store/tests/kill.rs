//! kill -9 while writing.
