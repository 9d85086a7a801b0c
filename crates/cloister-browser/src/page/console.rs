//! The step that reads console messages, uncaught errors and dialogs.

use super::run::Run;
use cloister_core::browser::page::Given;

/// All tabs, newest last.
pub(super) fn read(run: &Run<'_>) -> Given {
    Given::Json(run.tabs.log().console())
}
