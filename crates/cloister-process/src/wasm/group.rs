//! The engines and ready sessions of one principal under one policy: principals never share a process.
//!
//! ```text
//!   take ─▶ a ready session, else the engine with most room ─▶ open
//!              ▲ shelf, refilled behind it                      none has room: another engine, up to one per core
//! ```

use super::backend::WasmConfig;
use super::engine::{Engine, Link, OrderError};
use super::terms;
use crate::image::Image;
use crate::maker::Maker;
use async_trait::async_trait;
use cloister_core::backend::StartError;
use cloister_core::lock::lock;
use cloister_core::policy::Policy;
use cloister_core::ready::{Ending, Shelf, Stock};
use cloister_jail::guest::engine::Terms;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Engines of one policy.
pub(super) struct Group {
    pub(super) policy: Arc<Policy>,
    terms: Terms,
    maker: Arc<Maker>,
    config: WasmConfig,
    image: OnceLock<Image>,
    engines: Mutex<Vec<Arc<Engine>>>,
    /// One is started at a time: a second request waits for it instead of starting another.
    starting: tokio::sync::Mutex<()>,
    /// An engine is being added in the background.
    growing: AtomicBool,
}

impl Group {
    pub(super) fn new(policy: Arc<Policy>, maker: Arc<Maker>, config: WasmConfig) -> Self {
        Self {
            terms: terms::terms(&policy),
            policy,
            maker,
            config,
            image: OnceLock::new(),
            engines: Mutex::default(),
            starting: tokio::sync::Mutex::new(()),
            growing: AtomicBool::new(false),
        }
    }

    /// A new session.
    pub(super) async fn open(&self) -> Result<Link, StartError> {
        loop {
            let engine = match self.best() {
                Some(engine) => engine,
                None => self.first().await?,
            };
            match engine.open(self.terms.clone()).await {
                Ok(link) => return Ok(link),
                // Its memory is used up, or it has just died: another one may have room.
                Err(OrderError::Full(why)) if self.is_complete() => {
                    return Err(StartError::Full(format!(
                        "{why}; every engine of this principal is full: stop sessions that are no longer needed"
                    )));
                }
                Err(OrderError::Full(_)) => drop(self.add().await?),
                Err(error) if !engine.has_ended(&error) => return Err(failed(error)),
                Err(_) => {}
            }
        }
    }

    /// The engine with the fewest sessions that takes one more.
    fn best(&self) -> Option<Arc<Engine>> {
        let mut engines = lock(&self.engines);
        engines.retain(|engine| !engine.is_done());
        engines.iter().filter(|engine| engine.serves()).min_by_key(|engine| engine.sessions()).cloned()
    }

    /// Whether an engine is one of these.
    pub(super) fn holds(&self, engine: &Arc<Engine>) -> bool {
        lock(&self.engines).iter().any(|one| Arc::ptr_eq(one, engine))
    }

    /// Engines that run.
    pub(super) fn count(&self) -> usize {
        lock(&self.engines).iter().filter(|engine| engine.sandbox.lives()).count()
    }

    /// Sessions of all engines, those that are ready included.
    pub(super) fn sessions(&self) -> u64 {
        lock(&self.engines).iter().map(|engine| u64::from(engine.sessions())).sum()
    }

    /// Whether it has as many as it may have. Those that only wait for their last sessions to end do not count.
    fn is_complete(&self) -> bool {
        lock(&self.engines).iter().filter(|engine| engine.is_in_service()).count() >= self.config.room.engines
    }

    /// Waits for an engine that somebody else is starting, or starts one.
    async fn first(&self) -> Result<Arc<Engine>, StartError> {
        let _one = self.starting.lock().await;
        match self.best() {
            Some(engine) => Ok(engine),
            None if self.is_complete() => Err(full()),
            None => self.start().await,
        }
    }

    /// Starts one more.
    async fn add(&self) -> Result<Arc<Engine>, StartError> {
        let _one = self.starting.lock().await;
        if self.is_complete() {
            return self.best().ok_or_else(full);
        }
        self.start().await
    }

    async fn start(&self) -> Result<Arc<Engine>, StartError> {
        let image = self.image().await?;
        let engine =
            Engine::start(&self.maker, &self.policy, image, &self.config.room, self.config.pool_size).await?;
        lock(&self.engines).push(Arc::clone(&engine));
        Ok(engine)
    }

    /// The image with the engine's root in the place of its own.
    async fn image(&self) -> Result<Image, StartError> {
        if let Some(image) = self.image.get() {
            return Ok(image.clone());
        }
        let (images, name) = (self.maker.config.images_dir.clone(), self.policy.image.clone());
        let workshop = Arc::clone(&self.config.workshop);
        let made = tokio::task::spawn_blocking(move || {
            let bad = |what: String| StartError::Image { image: name.clone(), what };
            let mut image = Image::load(&images, &name).map_err(|e| bad(e.to_string()))?;
            if image.wasm.is_none() {
                return Err(bad("it has no [wasm]: choose another image, or another tier".into()));
            }
            let root = workshop.root(&name, &image.root, &image.digest)?;
            (image.root, image.artifact) = (root.path, Some(root.digest));
            Ok(image)
        });
        let made = made.await.map_err(|e| StartError::Step {
            step: "prepare the interpreter".into(),
            source: io::Error::other(e),
        })??;
        Ok(self.image.get_or_init(|| made).clone())
    }

    /// Has the engine's root made, unless the image has not been built.
    pub(super) async fn prepare(&self) {
        if let Err(error) = self.image().await {
            tracing::debug!(policy = self.policy.name, %error, "no root for engines yet");
        }
    }

    /// Grows to one engine per core in the background, once there is use for it.
    pub(super) fn grow(self: &Arc<Self>) {
        if self.is_complete() || self.growing.swap(true, Ordering::Relaxed) {
            return;
        }
        let group = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = group.add().await {
                tracing::warn!(policy = group.policy.name, %error, "no second engine; the first goes on alone");
                // Not again at once: a host that cannot would be asked at every start.
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            group.growing.store(false, Ordering::Relaxed);
        });
    }

    /// Ends every engine.
    pub(super) async fn end(&self) {
        let engines: Vec<_> = lock(&self.engines).drain(..).collect();
        for engine in engines {
            for left in engine.sandbox.destroy().await.left_behind {
                tracing::warn!(left, "left behind by an engine");
            }
        }
    }
}

fn full() -> StartError {
    StartError::Full(
        "every engine of this principal holds as many sessions as it may: stop sessions that are no longer needed".into(),
    )
}

pub(super) fn failed(error: OrderError) -> StartError {
    match error {
        OrderError::Full(why) => StartError::Full(why),
        OrderError::Busy(why) => StartError::Busy(why),
        OrderError::Failed(source) => StartError::Step { step: "make the session".into(), source },
    }
}

/// Ready sessions of a group.
pub(super) type Pool = Shelf<Ready>;

/// Where they come from.
pub(super) struct Ready(pub(super) Arc<Group>);

#[async_trait]
impl Stock for Ready {
    type Item = Link;

    fn name(&self) -> &str {
        &self.0.policy.name
    }

    async fn make(&self, _: &mut Ending) -> Result<Option<Link>, StartError> {
        self.0.open().await.map(Some)
    }

    fn lives(link: &Link) -> bool {
        link.gone.borrow().is_none()
    }

    async fn destroy(&self, link: Link) {
        drop(link);
    }

    /// Making one takes a fraction of a millisecond, which a client's first call need not share its core with.
    fn breather(&self, left: usize, size: usize) -> Duration {
        if 2 * left >= size { Duration::from_millis(2) } else { Duration::ZERO }
    }
}
