//! Whether what one schema wrote can be read with another.
