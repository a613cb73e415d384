//! The kernel's devices for Xen, call by call (`include/uapi/xen` of Linux).
//!
//! All unsafe code of [`xen`](super) is here. What is offered is safe: each type opens its
//! device itself, so that the numbers of its calls mean what they should.

#![allow(unsafe_code, reason = "calls of devices, which read and write memory by address")]

use std::ffi::c_void;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::Relaxed;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read, retry_on_intr};
use rustix::ioctl::{Direction, Ioctl, IoctlOutput, Opcode, ioctl, opcode};
use xenstore_wire::Domid;

use crate::ring::PAGE_SIZE;
use crate::shared_memory::SharedMemory;
use crate::xen::domctl::{Answer, Domctl, Question};

/// Event channels.
pub const EVENTS: &str = "/dev/xen/evtchn";
/// Pages that other domains grant.
pub const GRANTS: &str = "/dev/xen/gntdev";
/// Hypercalls.
pub const HYPERCALLS: &str = "/dev/xen/privcmd";
/// Memory for their arguments.
pub const BUFFERS: &str = "/dev/xen/hypercall";

/// The grant reference of every guest's ring (`GNTTAB_RESERVED_XENSTORE`).
const RING_GRANT: u32 = 1;

/// The hypercall by which domains are managed (`__HYPERVISOR_domctl`).
const DOMCTL: u64 = 36;

/// The number of a device's call. All of Xen's were defined without a direction.
const fn number<T>(device: u8, call: u8) -> Opcode {
    opcode::from_components(Direction::None, device, call, size_of::<T>())
}

const BIND_VIRQ: Opcode = number::<[u32; 1]>(b'E', 0);
const BIND_INTERDOMAIN: Opcode = number::<[u32; 2]>(b'E', 1);
const UNBIND: Opcode = number::<[u32; 1]>(b'E', 3);
const NOTIFY: Opcode = number::<[u32; 1]>(b'E', 4);
const RESET: Opcode = number::<[u32; 0]>(b'E', 5);
const MAP_GRANT: Opcode = number::<MapGrant>(b'G', 0);
const UNMAP_GRANT: Opcode = number::<UnmapGrant>(b'G', 1);
const HYPERCALL: Opcode = number::<Hypercall>(b'P', 0);

/// Event channels of this domain: `/dev/xen/evtchn`.
#[derive(Debug)]
pub struct EventDevice(File);

impl EventDevice {
    /// Opens the device. Every other process that opens it has channels of its own.
    pub fn open() -> io::Result<Self> {
        // Channels live until the last descriptor of this opening is closed. A live update
        // that is to keep them through an exec will have to take CLOEXEC off at that moment;
        // until then no child of the daemon is to hold them.
        open_device(EVENTS, OFlags::NONBLOCK).map(File::from).map(Self)
    }

    /// Binds a virtual interrupt; its port.
    pub fn bind_virq(&self, virq: u32) -> io::Result<u32> {
        self.call(BIND_VIRQ, [virq])
    }

    /// Binds a channel to a domain's end of it; the port of this end.
    pub fn bind_interdomain(&self, domid: Domid, remote: u32) -> io::Result<u32> {
        self.call(BIND_INTERDOMAIN, [domid.get().into(), remote])
    }

    /// Closes a channel.
    pub fn unbind(&self, port: u32) -> io::Result<()> {
        self.call(UNBIND, [port]).map(|_| ())
    }

    /// Says on a channel that the other end should look.
    pub fn notify(&self, port: u32) -> io::Result<()> {
        self.call(NOTIFY, [port]).map(|_| ())
    }

    /// Forgets which channels fired, and that there were too many of them.
    pub fn reset(&self) -> io::Result<()> {
        self.call(RESET, []).map(|_| ())
    }

    /// Takes the ports that fired, four bytes each, as many as there are and fit: `EAGAIN`
    /// if there are none, `EFBIG` if there were more than the device can remember.
    pub fn read<'a>(&self, buffer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
        let count = retry_on_intr(|| read(&self.0, &mut *buffer))?;
        Ok(buffer.get(..count).unwrap_or_default())
    }

    /// Has ports reported again, four bytes each.
    pub fn write(&self, ports: &[u8]) -> io::Result<()> {
        (&self.0).write_all(ports)
    }

    fn call<const WORDS: usize>(&self, opcode: Opcode, mut words: [u32; WORDS]) -> io::Result<u32> {
        // SAFETY: `self` is /dev/xen/evtchn. Each of its calls reads one structure of words,
        // writes no memory and answers a number. The size of the structure is part of the
        // call's number, and the constants above say what each caller gives.
        Ok(unsafe { ioctl(&self.0, Call { opcode, argument: &mut words }) }?)
    }
}

impl AsFd for EventDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Pages of other domains: `/dev/xen/gntdev`.
#[derive(Debug)]
pub struct GrantDevice(OwnedFd);

/// `struct ioctl_gntdev_map_grant_ref`, for one page.
#[repr(C)]
struct MapGrant {
    count: u32,
    padding: u32,
    /// Answered: what to map, as an offset in the device.
    index: u64,
    domid: u32,
    reference: u32,
}

/// `struct ioctl_gntdev_unmap_grant_ref`.
#[repr(C)]
struct UnmapGrant {
    index: u64,
    count: u32,
    padding: u32,
}

impl GrantDevice {
    /// Opens the device.
    pub fn open() -> io::Result<Self> {
        open_device(GRANTS, OFlags::empty()).map(Self)
    }

    /// Announces that the ring of a domain is to be mapped, and answers the offset where.
    /// That the domain is not there, or grants no page, only the mapping tells.
    pub fn announce(&self, domid: Domid) -> io::Result<u64> {
        let mut argument = MapGrant {
            count: 1,
            padding: 0,
            index: 0,
            domid: domid.get().into(),
            reference: RING_GRANT,
        };
        // SAFETY: `self` is /dev/xen/gntdev. The call reads this structure, with one entry as
        // it says, and writes its `index`, of which any bytes are a value.
        unsafe { ioctl(&self.0, Call { opcode: MAP_GRANT, argument: &mut argument }) }?;
        Ok(argument.index)
    }

    /// Maps a page that was announced.
    pub fn map(&self, index: u64) -> io::Result<SharedMemory> {
        SharedMemory::map(&self.0, index, PAGE_SIZE)
    }

    /// Takes an announcement back. What is mapped by it stays mapped until it is unmapped,
    /// and only then is the page given back.
    pub fn withdraw(&self, index: u64) -> io::Result<()> {
        let mut argument = UnmapGrant { index, count: 1, padding: 0 };
        // SAFETY: `self` is /dev/xen/gntdev. The call reads this structure and writes
        // nothing. It leaves mappings alone, so no memory in use goes away.
        unsafe { ioctl(&self.0, Call { opcode: UNMAP_GRANT, argument: &mut argument }) }?;
        Ok(())
    }
}

/// Hypercalls: `/dev/xen/privcmd`.
#[derive(Debug)]
pub struct HypercallDevice(OwnedFd);

/// `struct privcmd_hypercall`.
#[repr(C)]
struct Hypercall {
    operation: u64,
    arguments: [u64; 5],
}

impl HypercallDevice {
    /// Opens the device.
    pub fn open() -> io::Result<Self> {
        open_device(HYPERCALLS, OFlags::empty()).map(Self)
    }
}

/// Memory in which a hypercall finds its argument: a page of `/dev/xen/hypercall`.
///
/// Xen reads and writes it by its address in this process, and cannot wait for the kernel to
/// bring it in. Ordinary memory may be moved at any time, locked or not; this is not.
#[derive(Debug)]
pub struct HypercallBuffer(SharedMemory);

impl HypercallBuffer {
    /// Opens the device (since Linux 4.18) and takes a page of it.
    pub fn open() -> io::Result<Self> {
        let device = open_device(BUFFERS, OFlags::empty())?;
        SharedMemory::map(device, 0, PAGE_SIZE).map(Self)
    }
}

/// Asks Xen about domains.
#[derive(Debug)]
pub struct XenDomctl {
    device: HypercallDevice,
    buffer: HypercallBuffer,
}

impl XenDomctl {
    /// Asks by this device, with the argument in this memory.
    pub const fn new(device: HypercallDevice, buffer: HypercallBuffer) -> Self {
        Self { device, buffer }
    }
}

impl Domctl for XenDomctl {
    fn ask(&mut self, question: Question) -> Result<Answer, Errno> {
        let memory = self.buffer.0.bytes();
        let mut operation = question.encode();
        for (to, from) in memory.iter().zip(operation) {
            to.store(from, Relaxed);
        }
        let address = memory.as_ptr().expose_provenance() as u64;
        let mut argument = Hypercall { operation: DOMCTL, arguments: [address, 0, 0, 0, 0] };
        // SAFETY: `self.device` is /dev/xen/privcmd. The call reads this structure and makes
        // the hypercall it says. A domctl reads and writes one structure at the address it is
        // given, `SIZE` bytes of a page that lives as long as `self` and is lent as atomics
        // only. The questions there are hold no further address (`Question`), and change
        // nothing about this domain or its memory.
        unsafe {
            ioctl(&self.device.0, Call { opcode: HYPERCALL, argument: &mut argument })?;
        }
        for (to, from) in operation.iter_mut().zip(memory) {
            *to = from.load(Relaxed);
        }
        Ok(Answer(operation))
    }
}

fn open_device(path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(open(path, OFlags::RDWR | OFlags::CLOEXEC | flags, Mode::empty())?)
}

/// A call of a device with the address of a `T`, which answers a number.
struct Call<'a, T> {
    opcode: Opcode,
    argument: &'a mut T,
}

// SAFETY: the pointer is that of a `T` borrowed for as long as the call takes, and nothing is
// read through it after the call. Whether the device reads and writes a `T` for this number is
// for whoever makes the call to know, who has to say so to call `ioctl`.
unsafe impl<T> Ioctl for Call<'_, T> {
    type Output = u32;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::from_mut(self.argument).cast()
    }

    unsafe fn output_from_ptr(answer: IoctlOutput, _: *mut c_void) -> rustix::io::Result<u32> {
        Ok(answer.cast_unsigned())
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    /// The numbers a kernel was seen to understand.
    #[test]
    fn calls_have_the_numbers_of_the_kernel() {
        assert_eq!(BIND_VIRQ, 0x0004_4500);
        assert_eq!(BIND_INTERDOMAIN, 0x0008_4501);
        assert_eq!(UNBIND, 0x0004_4503);
        assert_eq!(NOTIFY, 0x0004_4504);
        assert_eq!(RESET, 0x0000_4505);
        assert_eq!(MAP_GRANT, 0x0018_4700);
        assert_eq!(UNMAP_GRANT, 0x0010_4701);
        assert_eq!(HYPERCALL, 0x0030_5000);
    }

    #[test]
    fn structures_are_laid_out_as_the_kernel_has_them() {
        assert_eq!(offset_of!(MapGrant, index), 8);
        assert_eq!(offset_of!(MapGrant, domid), 16);
        assert_eq!(offset_of!(MapGrant, reference), 20);
        assert_eq!(offset_of!(UnmapGrant, count), 8);
        assert_eq!(offset_of!(Hypercall, arguments), 8);
    }
}
