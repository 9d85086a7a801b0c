//! The steps on a real Chromium.

mod article;
mod elements;
mod life;
mod navigation;
mod output;
mod tabs;
