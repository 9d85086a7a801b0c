//! The zygote's side: a shared object that a pre-imported CPython loads, and in whose loop it then stays.
//!
//! ```text
//!   server ──Order::Sandbox + fds──▶ zygote (CPython, imports done, single-threaded)
//!                                      clone3 ─▶ init (never returns to Python)
//!                                                  fork ─▶ interpreter (returns 0 from cloister_zygote_serve)
//! ```
#![expect(unsafe_code, reason = "an exported C function, and calls of CPython's fork hooks by dlsym")]

use crate::fdpass;
use crate::plan::{Answer, GUEST_ID, Order, Plan, VERSION};
use crate::setup::Inside;
use crate::setup::zygote::{LIBRARY_FD, ORDERS_FD};
use crate::spawn::{self, Side, Step};
use crate::{compact, init, sys};
use nix::errno::Errno;
use std::ffi::{CStr, c_int};
use std::os::fd::{AsRawFd, OwnedFd};

/// The zygote is to exit.
const QUIT: c_int = 1;
/// This process is a fresh interpreter in a sandbox.
const INTERPRETER: c_int = 0;

/// Serves orders until the server closes the socket.
///
/// Returns 0 in a new interpreter (descriptor 3 is its cell channel, all walls stand, CPython's after-fork hook has run) and 1 in the
/// zygote when it is to exit. To be called once, with the GIL held (ctypes.PyDLL), from the only thread of the process.
#[unsafe(no_mangle)]
pub extern "C" fn cloister_zygote_serve() -> c_int {
    let Some(orders) = sys::adopt(ORDERS_FD) else { return QUIT };
    drop(sys::adopt(LIBRARY_FD));
    // The kernel reaps: nobody asks for the status of a sandbox's init, its pidfd says when it is gone.
    if sys::ignore_children().is_err() || fdpass::send(&orders, &Answer::Ready, &[]).is_err() {
        return QUIT;
    }
    compact::compact();
    loop {
        let (order, fds) = match fdpass::receive::<Order>(&orders) {
            Ok(Some(order)) => order,
            Ok(None) | Err(_) => return QUIT,
        };
        let made = match order {
            Order::Sandbox { mut plan } => {
                let made = make(&plan, fds);
                plan.wipe();
                made
            }
            Order::Zygote { .. } | Order::Sweep { .. } => {
                Err(Step { step: "a zygote makes sandboxes and nothing else".into(), errno: Errno::EINVAL })
            }
        };
        let sent = match made {
            Ok(Made::Interpreter) => {
                // Its descriptor was closed with all others; dropping it would close what has its number now.
                std::mem::forget(orders);
                return INTERPRETER;
            }
            Ok(Made::Sandbox(pid, pidfd)) => {
                fdpass::send(&orders, &Answer::Spawned { pid }, &[pidfd.as_raw_fd()])
            }
            Err(Step { step, errno }) => {
                fdpass::send(&orders, &Answer::Refused { step, errno: errno as i32 }, &[])
            }
        };
        if sent.is_err() {
            return QUIT;
        }
    }
}

enum Made {
    Interpreter,
    Sandbox(i32, OwnedFd),
}

fn make(plan: &Plan, fds: Vec<OwnedFd>) -> Result<Made, Step> {
    if plan.version != VERSION {
        return Err(Step { step: format!("plan version {}", plan.version), errno: Errno::EPROTO });
    }
    let world = &plan.world;
    let (uids, gids) = ([(GUEST_ID, world.outer_uid, 1)], [(GUEST_ID, world.outer_gid, 1)]);
    hook(c"PyOS_BeforeFork");
    match spawn::into_namespaces(plan.namespaces(), &uids, &gids, world.privileged) {
        Ok(Side::Child(gate)) => {
            init::enter(plan, fds, Some(gate), Inside::Yes);
            hook(c"PyOS_AfterFork_Child");
            Ok(Made::Interpreter)
        }
        Ok(Side::Parent { pid, pidfd }) => {
            hook(c"PyOS_AfterFork_Parent");
            Ok(Made::Sandbox(pid, pidfd))
        }
        Err(step) => {
            hook(c"PyOS_AfterFork_Parent");
            Err(step)
        }
    }
}

/// Calls one of CPython's fork hooks (C API, stable since 3.7), which put its locks and thread state in order.
fn hook(name: &CStr) {
    // SAFETY: the name is a C string; RTLD_DEFAULT searches the interpreter that has loaded this object.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if symbol.is_null() {
        return;
    }
    // SAFETY: all three hooks are `void (*)(void)` and are called with the GIL held, in the order that the C API prescribes.
    let hook = unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn()>(symbol) };
    hook();
}
