//! Linear memories: address space that is kept and used again, over one image that all sessions share until they write.
//!
//! ```text
//!   0             image            size                       4 GiB        guard
//!   ├── file, private (CoW) ──┬── anonymous ──┬── not accessible ─ ─ ─ ─ ─ ─ ─ ┤
//! ```
//!
//! A session costs the pages that it writes to. When it ends, `MADV_DONTNEED` gives every page back to the kernel, which hands out the
//! image's content or zeros the next time: what a session wrote can be read by no other (measured by a test, `tests/kernel`).
//!
//! INVARIANT: this file holds the crate's `unsafe` for mappings. A [`Region`] is used by one memory at a time.
#![expect(
    unsafe_code,
    reason = "wasmtime takes memories of a host through an unsafe trait, and mappings are made by system calls"
)]

use crate::lock;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, mprotect, munmap};
use std::ffi::c_void;
use std::fs::File;
use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

/// Bytes of a page of the host.
pub const PAGE: usize = 4096;
/// Address space of one memory: what 32 bits can reach.
const RESERVED: usize = 4 << 30;
/// Behind it, so that code needs no check of bounds (an access adds a constant offset of up to 4 GiB in principle; wasmtime asks for
/// what its settings promise, and larger offsets are checked).
const GUARD: usize = 32 << 20;
/// How long the kernel may take to let go of the image's pages.
const PATIENCE: Duration = Duration::from_secs(10);
/// Regions that are kept for the next session.
const KEPT: usize = 256;

/// What every session's memory begins with: sealed, so that nothing can change it any more.
#[derive(Debug)]
struct Image {
    file: OwnedFd,
    len: usize,
    /// Its content, for comparing.
    mapped: Mapped,
}

/// Makes memories.
#[derive(Debug, Default)]
pub struct Memories {
    image: OnceLock<Image>,
    free: Mutex<Vec<Region>>,
}

impl Memories {
    /// Sets what memories begin with from now on. `content` is a whole number of pages, and at least what the module asks for.
    pub fn set_image(&self, content: &[u8]) -> std::io::Result<()> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let mut file = File::from(memfd_create("interpreter", flags)?);
        file.write_all(content)?;
        let seals =
            SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        seal(&file, seals)?;
        lock(&self.free).clear();
        let mapped = Mapped::of(&file)?;
        let image = Image { file: file.into(), len: content.len(), mapped };
        self.image.set(image).map_err(|_| std::io::Error::other("the image is set once"))
    }

    /// Bytes of the image; 0 while there is none.
    pub fn image_len(&self) -> usize {
        self.image.get().map_or(0, |image| image.len)
    }

    /// The image; nothing while there is none.
    pub fn image(&self) -> &[u8] {
        self.image.get().map_or(&[], |image| image.mapped.as_ref())
    }

    fn region(&self) -> Result<Region, Errno> {
        let kept = lock(&self.free).pop();
        kept.map_or_else(|| Region::new(self.image.get()), Ok)
    }

    /// Takes a region back, emptied.
    fn give_back(&self, mut region: Region) {
        if region.reset(self.image_len()).is_ok() {
            let mut free = lock(&self.free);
            if free.len() < KEPT && region.image == self.image_len() {
                free.push(region);
            }
        }
    }
}

/// Seals a file whose content is written. EBUSY is not for ever: the kernel gives up after 0.3 s (mm/memfd.c, `memfd_wait_for_pins`) while
/// one of the pages is still on its way somewhere, which on a busy machine takes longer.
fn seal(file: &File, seals: SealFlag) -> nix::Result<()> {
    let since = Instant::now();
    loop {
        match fcntl(file, FcntlArg::F_ADD_SEALS(seals)) {
            Err(Errno::EBUSY) if since.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(10)),
            other => return other.map(drop),
        }
    }
}

/// Wasmtime's view of [`Memories`].
#[derive(Debug)]
pub struct Creator(pub Arc<Memories>);

// SAFETY: a region is zero or image, page aligned, reserved as asked (refused otherwise), and owned by one memory.
unsafe impl MemoryCreator for Creator {
    fn new_memory(
        &self,
        _: MemoryType,
        minimum: usize,
        _: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        if reserved.is_some_and(|bytes| bytes > RESERVED) || guard > GUARD {
            return Err("the engine asks for more address space than a memory has".into());
        }
        let region = self.0.region().map_err(|errno| format!("no address space for a memory: {errno}"))?;
        let size = region.image;
        let mut space = Space { region: Some(region), size, memories: Arc::clone(&self.0) };
        // With an image, the memory is as large as it was when the image was taken.
        if size < minimum {
            space.grow_to(minimum).map_err(|e| e.to_string())?;
        }
        Ok(Box::new(space))
    }
}

/// Mapped address space.
#[derive(Debug)]
struct Region {
    base: NonNull<c_void>,
    /// Bytes of it that are the image.
    image: usize,
    /// Bytes that are accessible.
    open: usize,
}

// SAFETY: it is address space; what is in it is accessed by whoever owns the region.
unsafe impl Send for Region {}
// SAFETY: as above; shared references give out the address only.
unsafe impl Sync for Region {}

impl Region {
    fn new(image: Option<&Image>) -> Result<Self, Errno> {
        let length = NonZeroUsize::new(RESERVED + GUARD).ok_or(Errno::EINVAL)?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe { mmap_anonymous(None, length, ProtFlags::PROT_NONE, flags)? };
        let mut region = Self { base, image: 0, open: 0 };
        if let Some(image) = image {
            let (Some(at), Some(length)) =
                (NonZeroUsize::new(base.as_ptr() as usize), NonZeroUsize::new(image.len))
            else {
                return Err(Errno::EINVAL);
            };
            let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED | MapFlags::MAP_NORESERVE;
            // SAFETY: inside of the mapping made above, which nobody else knows yet.
            unsafe { mmap(Some(at), length, RW, flags, &image.file, 0)? };
            (region.image, region.open) = (image.len, image.len);
        }
        Ok(region)
    }

    /// Makes `size` bytes accessible.
    fn open(&mut self, size: usize) -> Result<(), Errno> {
        if size <= self.open {
            return Ok(());
        }
        let size = size.next_multiple_of(PAGE).min(RESERVED);
        self.protect(self.open..size, RW)?;
        self.open = size;
        Ok(())
    }

    fn protect(&self, range: Range<usize>, protection: ProtFlags) -> Result<(), Errno> {
        // SAFETY: within the reservation; what is taken away is used by nobody, for the region is ours.
        unsafe { mprotect(self.base.byte_add(range.start), range.end - range.start, protection) }
    }

    /// Everything that was written is gone; accessible is what a new memory has.
    fn reset(&mut self, image: usize) -> Result<(), Errno> {
        if self.open > 0 {
            // SAFETY: the whole of what was accessible, of a region that nobody uses.
            unsafe { madvise(self.base, self.open, MmapAdvise::MADV_DONTNEED)? };
        }
        if self.open > image {
            self.protect(image..self.open, ProtFlags::PROT_NONE)?;
            self.open = image;
        }
        Ok(())
    }
}

const RW: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: our own mapping, whole, and nobody uses it any more.
        let _: Result<(), Errno> = unsafe { munmap(self.base, RESERVED + GUARD) };
    }
}

/// One session's memory.
#[derive(Debug)]
struct Space {
    /// `Some` until it is dropped.
    region: Option<Region>,
    size: usize,
    memories: Arc<Memories>,
}

// SAFETY: the base never moves, `size` bytes are accessible, and what follows up to the guard's end is not.
unsafe impl LinearMemory for Space {
    fn byte_size(&self) -> usize {
        self.size
    }

    fn byte_capacity(&self) -> usize {
        RESERVED
    }

    fn grow_to(&mut self, size: usize) -> wasmtime::Result<()> {
        let region = self.region.as_mut().ok_or_else(|| std::io::Error::other("the memory is gone"))?;
        region.open(size).map_err(std::io::Error::from)?;
        self.size = size;
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        self.region.as_ref().map_or(std::ptr::null_mut(), |region| region.base.as_ptr().cast())
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if let Some(region) = self.region.take() {
            self.memories.give_back(region);
        }
    }
}

/// A file, mapped: what all engines read alike is in memory once.
#[derive(Debug)]
pub struct Mapped {
    base: NonNull<c_void>,
    len: usize,
}

// SAFETY: it is read-only for everybody.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps the whole of a file that nobody changes: the sandbox's root is read-only, and its files are sealed by the server.
    pub fn open(path: &std::path::Path) -> std::io::Result<Self> {
        Self::of(&File::open(path)?)
    }

    fn of(file: &File) -> std::io::Result<Self> {
        let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let length = NonZeroUsize::new(len).ok_or_else(|| std::io::Error::other("the file is empty"))?;
        // SAFETY: a new mapping at an address of the kernel's choice, read-only.
        let base = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE, file, 0)? };
        Ok(Self { base, len })
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: mapped for as long as `self` lives, and never written to.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().cast(), self.len) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: our own mapping, whole; nobody borrows from it any more.
        let _: Result<(), Errno> = unsafe { munmap(self.base, self.len) };
    }
}

/// Has the kernel make private copies of pages now, so that a session does not wait for them one by one.
pub(crate) fn populate(memory: &mut [u8], pages: &[Range<usize>]) {
    for range in pages {
        let bytes = range.start * PAGE..range.end * PAGE;
        let Some(part) = memory.get_mut(bytes) else { continue };
        let Some(start) = NonNull::new(part.as_mut_ptr().cast()) else { continue };
        // SAFETY: memory that we hold exclusively; the advice changes no content. Where the kernel is too old, faults do the same.
        let _: Result<(), Errno> = unsafe { madvise(start, part.len(), MmapAdvise::MADV_POPULATE_WRITE) };
    }
}

/// Gives pages back whose content is that of the image, or zero where the image does not reach: reading them shows the same.
pub(crate) fn give_back(memory: &mut [u8], pages: &[Range<usize>]) {
    for range in pages {
        let Some(part) = memory.get_mut(range.start * PAGE..range.end * PAGE) else { continue };
        let Some(start) = NonNull::new(part.as_mut_ptr().cast()) else { continue };
        // SAFETY: memory that we hold exclusively, and whose content the caller has compared: what the kernel puts in its place is equal.
        // Where it refuses, the copies stay.
        let _: Result<(), Errno> = unsafe { madvise(start, part.len(), MmapAdvise::MADV_DONTNEED) };
    }
}
