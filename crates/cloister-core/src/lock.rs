//! Taking a mutex whose poison does not matter.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`. Only for data that every critical section leaves whole, so that a panic elsewhere spoils nothing.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
