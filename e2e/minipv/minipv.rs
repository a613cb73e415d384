//! A paravirtual guest of a few kilobytes that does nothing but talk to the store over its
//! ring: no kernel, no library, at work a moment after Xen starts it. What it does is up to
//! the words of its command line, see [`Guest::obey`].
//!
//! What Xen and a guest agree on, here as numbers: Xen's public headers `xen.h`,
//! `elfnote.h`, `event_channel.h`, `sched.h`, `io/console.h`, `io/xs_wire.h`.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU32, Ordering::*, fence};

/// Where the program is loaded. The linker script and the notes below say the same.
const BASE: u64 = 0x40_0000;

// The notes tell Xen how to load and start it, and where it wants the table of hypercalls.
global_asm!(
    r#"
    .section .note.Xen,"a",@note
    .long 4, 7, 6; .asciz "Xen"; .asciz "minipv"; .p2align 2
    .long 4, 8, 5; .asciz "Xen"; .asciz "xen-3.0"; .p2align 2
    .long 4, 8, 8; .asciz "Xen"; .asciz "generic"; .p2align 2
    .long 4, 4, 9; .asciz "Xen"; .asciz "yes"; .p2align 2
    .long 4, 8, 3; .asciz "Xen"; .quad 0x400000; .p2align 2
    .long 4, 8, 4; .asciz "Xen"; .quad 0x400000; .p2align 2
    .long 4, 8, 1; .asciz "Xen"; .quad _start; .p2align 2
    .long 4, 8, 2; .asciz "Xen"; .quad hypercall_page; .p2align 2
    .section .text.start,"ax",@progbits
    .globl _start
_start:
    cld
    lea stack_top(%rip), %rsp
    mov %rsi, %rdi
    xor %ebp, %ebp
    call main
0:  jmp 0b
    .section .bss.pages,"aw",@nobits
    .p2align 12
    .globl hypercall_page
hypercall_page: .skip 4096
    .globl shared_info
shared_info: .skip 4096
    .skip 65536
stack_top:
"#,
    options(att_syntax)
);

unsafe extern "C" {
    static mut shared_info: [u8; 4096];
}

unsafe fn hypercall(number: u64, a: u64, b: u64, c: u64) -> i64 {
    let result;
    unsafe {
        asm!("syscall", inlateout("rax") number => result,
            inlateout("rdi") a => _, inlateout("rsi") b => _, inlateout("rdx") c => _,
            lateout("rcx") _, lateout("r11") _);
    }
    result
}

const UPDATE_VA_MAPPING: u64 = 14;
const SCHED_OP: u64 = 29;
const EVENT_CHANNEL_OP: u64 = 32;

fn notify(port: u32) {
    const SEND: u64 = 4;
    unsafe { hypercall(EVENT_CHANNEL_OP, SEND, &raw const port as u64, 0) };
}

/// Waits until the port fires.
fn wait(port: u32) {
    #[repr(C)]
    struct Poll {
        ports: *const u32,
        count: u32,
        timeout: u64,
    }
    const POLL: u64 = 3;
    let poll = Poll { ports: &raw const port, count: 1, timeout: 0 };
    unsafe {
        hypercall(SCHED_OP, POLL, &raw const poll as u64, 0);
        // The bits of pending event channels are at 2,048 of the shared page.
        let word = (&raw mut shared_info).cast::<u32>().add(512 + port as usize / 32);
        (*word.cast::<AtomicU32>()).fetch_and(!(1 << (port % 32)), SeqCst);
    }
}

/// Ends the guest: 0 off, 1 reboot, 3 crash, 5 soft reset.
fn shut_down(reason: u32) {
    const SHUTDOWN: u64 = 2;
    unsafe { hypercall(SCHED_OP, SHUTDOWN, &raw const reason as u64, 0) };
}

/// Where a page of the machine is mapped here, by the table that Xen shows every guest.
unsafe fn mapped(machine_frame: u64) -> *mut u8 {
    let table = 0xffff_8000_0000_0000 as *const u64;
    (BASE + (unsafe { *table.add(machine_frame as usize) } << 12)) as *mut u8
}

/// A page shared with somebody, and the event channel to say so.
#[derive(Clone, Copy)]
struct Ring {
    page: *mut u8,
    port: u32,
}

/// One direction of a ring: where its bytes and its two counters are.
struct Lane {
    bytes: usize,
    size: u32,
    consumer: usize,
    producer: usize,
}

const TO_STORE: Lane = Lane { bytes: 0, size: 1024, consumer: 2048, producer: 2052 };
const FROM_STORE: Lane = Lane { bytes: 1024, size: 1024, consumer: 2056, producer: 2060 };
const STORE_ERROR: usize = 2072;
const TO_CONSOLE: Lane = Lane { bytes: 1024, size: 2048, consumer: 3080, producer: 3084 };

impl Ring {
    fn counter(&self, offset: usize) -> &AtomicU32 {
        unsafe { &*self.page.add(offset).cast::<AtomicU32>() }
    }

    fn place(&self, lane: &Lane, counter: u32) -> *mut u8 {
        unsafe { self.page.add(lane.bytes + (counter & (lane.size - 1)) as usize) }
    }

    fn put(&self, lane: &Lane, bytes: &[u8]) {
        let (consumer, producer) = (self.counter(lane.consumer), self.counter(lane.producer));
        for &byte in bytes {
            let at = producer.load(Relaxed);
            while at.wrapping_sub(consumer.load(Acquire)) >= lane.size {
                notify(self.port);
                wait(self.port);
            }
            unsafe { self.place(lane, at).write_volatile(byte) };
            producer.store(at.wrapping_add(1), Release);
        }
        fence(SeqCst);
        notify(self.port);
    }

    fn take(&self, lane: &Lane, bytes: &mut [u8]) {
        let (consumer, producer) = (self.counter(lane.consumer), self.counter(lane.producer));
        for byte in bytes {
            let at = consumer.load(Relaxed);
            while producer.load(Acquire) == at {
                wait(self.port);
            }
            *byte = unsafe { self.place(lane, at).read_volatile() };
            consumer.store(at.wrapping_add(1), Release);
        }
        fence(SeqCst);
        notify(self.port);
    }
}

static mut CONSOLE: Ring = Ring { page: core::ptr::null_mut(), port: 0 };

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let console = unsafe { CONSOLE };
        if !console.page.is_null() {
            console.put(&TO_CONSOLE, text.as_bytes());
        }
        Ok(())
    }
}

macro_rules! say {
    ($($argument:tt)*) => {{ let _ = writeln!(Console, $($argument)*); }};
}

const READ: u32 = 2;
const WATCH: u32 = 4;
const TRANSACTION_START: u32 = 6;
const TRANSACTION_END: u32 = 7;
const WRITE: u32 = 11;
const WATCH_EVENT: u32 = 15;
const ERROR: u32 = 16;

/// Text of at most 32 bytes.
struct Short {
    bytes: [u8; 32],
    length: usize,
}

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

impl Short {
    fn of(text: impl fmt::Display) -> Self {
        let mut short = Self { bytes: [0; 32], length: 0 };
        let _ = write!(short, "{text}");
        short
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The guest, and what the store said last.
struct Guest {
    ring: Ring,
    domid: u64,
    requests: u32,
    transaction: u32,
    reply: [u8; 4096],
    length: usize,
    told: bool,
}

impl Guest {
    fn send(&mut self, kind: u32, length: u32, parts: &[&[u8]]) {
        self.requests += 1;
        for word in [kind, self.requests, self.transaction, length] {
            self.ring.put(&TO_STORE, &word.to_le_bytes());
        }
        for part in parts {
            self.ring.put(&TO_STORE, part);
        }
    }

    /// Takes one message, and returns its type.
    fn receive(&mut self) -> u32 {
        let mut header = [0; 16];
        self.ring.take(&FROM_STORE, &mut header);
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| header[at * 4 + byte]));
        self.length = (word(3) as usize).min(self.reply.len());
        self.ring.take(&FROM_STORE, &mut self.reply[..self.length]);
        self.told |= word(0) == WATCH_EVENT;
        word(0)
    }

    /// One request and its answer; false if that is an error.
    fn ask(&mut self, kind: u32, parts: &[&[u8]]) -> bool {
        self.send(kind, parts.iter().map(|part| part.len() as u32).sum(), parts);
        loop {
            match self.receive() {
                WATCH_EVENT => {}
                answer => return answer != ERROR,
            }
        }
    }

    fn text(&self) -> &str {
        core::str::from_utf8(&self.reply[..self.length]).unwrap_or("?").trim_end_matches('\0')
    }

    fn number(&self) -> u64 {
        self.text().parse().unwrap_or(0)
    }

    fn introduce_itself(&mut self) {
        self.ask(READ, &[b"domid\0"]);
        self.domid = self.number();
        let id = self.domid;
        self.ask(READ, &[b"name\0"]);
        say!("GUEST {id} is {}", self.text());
        self.ask(WRITE, &[b"data/hello\0from-", Short::of(id).bytes()]);
        self.ask(READ, &[b"/tool/secret\0"]);
        say!("GUEST {id} may not read: {}", self.text());
        self.ask(WRITE, &[b"/local/domain/0/evil\0x"]);
        say!("GUEST {id} may not write: {}", self.text());
    }

    /// Does what one word of the command line asks for.
    fn obey(&mut self, word: &str) {
        let (what, count) = word.split_once('=').unwrap_or((word, "0"));
        let count: u64 = count.parse().unwrap_or(0);
        match what {
            "reads" => {
                for _ in 0..count {
                    self.ask(READ, &[b"name\0"]);
                }
                self.ask(WRITE, &[b"data/reads\0done"]);
            }
            "transactions" => self.transactions(count),
            // A node of somebody else's.
            "try" => {
                self.ask(READ, &[b"/tool/lent\0"]);
                say!("GUEST {} tried: {}", self.domid, self.text());
            }
            // More nodes than it may have. How many it got is in the first of them.
            "flood" => {
                let mut made = 0;
                while made < count
                    && self.ask(WRITE, &[b"data/flood", Short::of(made).bytes(), b"\0x"])
                {
                    made += 1;
                }
                say!("GUEST made {made} nodes, then: {}", self.text());
                self.ask(WRITE, &[b"data/flood0\0", Short::of(made).bytes()]);
            }
            // A message longer than the protocol has.
            "badlen" => {
                self.send(READ, 5000, &[b"name\0"]);
                self.await_error();
            }
            // A counter further ahead than the ring is long.
            "badring" => {
                let producer = self.ring.counter(TO_STORE.producer);
                producer.store(producer.load(Relaxed).wrapping_add(5000), SeqCst);
                notify(self.ring.port);
                self.await_error();
            }
            // Asks for ever, and never takes an answer.
            "noread" => loop {
                self.send(READ, 5, &[b"name\0"]);
            },
            // Half a header, and then silence.
            "half" => {
                self.ring.put(&TO_STORE, &[2, 0, 0, 0, 9, 0]);
                loop {
                    wait(self.ring.port);
                }
            }
            // Rings for ever without saying anything.
            "ringing" => loop {
                notify(self.ring.port);
            },
            "exit" => shut_down(count as u32),
            _ => {}
        }
    }

    /// Changes three of its nodes together, `count` times; how often that had to be tried
    /// again is its word.
    fn transactions(&mut self, count: u64) {
        let mut again = 0;
        for round in 0..count {
            loop {
                self.ask(TRANSACTION_START, &[b"\0"]);
                self.transaction = self.number() as u32;
                for node in [b"data/a\0", b"data/b\0", b"data/c\0"] {
                    self.ask(READ, &[node]);
                    self.ask(WRITE, &[node, Short::of(round).bytes()]);
                }
                let committed = self.ask(TRANSACTION_END, &[b"T\0"]);
                self.transaction = 0;
                if committed {
                    break;
                }
                again += 1;
            }
        }
        self.ask(WRITE, &[b"data/again\0", Short::of(again).bytes()]);
    }

    /// Says what is written into the page's field for errors.
    fn await_error(&self) {
        let mut last = 0;
        loop {
            let error = self.ring.counter(STORE_ERROR).load(SeqCst);
            if error != last {
                say!("GUEST error of the ring: {error}");
                last = error;
            }
            wait(self.ring.port);
        }
    }

    /// Answers pings, and ends when the toolstack asks it to.
    fn serve(&mut self) {
        self.ask(WATCH, &[b"data/ping\0ping\0"]);
        self.ask(WATCH, &[b"control/shutdown\0shutdown\0"]);
        let mut answered = Short::of("");
        loop {
            if self.ask(READ, &[b"control/shutdown\0"]) && self.length > 0 {
                let reason = match self.text() {
                    "poweroff" | "halt" => Some(0),
                    "reboot" => Some(1),
                    _ => None,
                };
                // The node emptied is the guest's word that it understood.
                self.ask(WRITE, &[b"control/shutdown\0"]);
                reason.into_iter().for_each(shut_down);
            }
            if self.ask(READ, &[b"data/ping\0"]) && self.length > 0 {
                let ping = Short::of(self.text());
                if ping.bytes() != answered.bytes() {
                    self.ask(WRITE, &[b"data/pong\0", ping.bytes()]);
                    answered = ping;
                }
            }
            while !self.told {
                self.receive();
            }
            self.told = false;
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn main(start_info: *const u8) -> ! {
    let long = |at: usize| unsafe { *start_info.add(at).cast::<u64>() };
    let word = |at: usize| unsafe { *start_info.add(at).cast::<u32>() };
    let ring = unsafe {
        CONSOLE = Ring { page: mapped(long(72)), port: word(80) };
        // Present and writable.
        hypercall(UPDATE_VA_MAPPING, &raw const shared_info as u64, long(40) | 7, 2);
        Ring { page: mapped(long(56)), port: word(64) }
    };
    let line = unsafe { core::slice::from_raw_parts(start_info.add(128), 1024) };
    let line = line.split(|&byte| byte == 0).next().unwrap_or_default();
    let line = core::str::from_utf8(line).unwrap_or_default();

    let mut guest = Guest {
        ring,
        domid: 0,
        requests: 0,
        transaction: 0,
        reply: [0; 4096],
        length: 0,
        told: false,
    };
    guest.introduce_itself();
    for word in line.split_ascii_whitespace() {
        guest.obey(word);
    }
    guest.serve();
    loop {}
}

#[panic_handler]
fn panic(panic: &core::panic::PanicInfo) -> ! {
    say!("GUEST panics: {panic}");
    loop {
        shut_down(3);
    }
}

// What the compiler takes for granted.

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    unsafe {
        asm!("rep movsb", inout("rcx") count => _, inout("rdi") to => _, inout("rsi") from => _);
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if to.addr() < from.addr() {
        return unsafe { memcpy(to, from, count) };
    }
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") count => _,
            inout("rdi") to.add(count).wrapping_sub(1) => _,
            inout("rsi") from.add(count).wrapping_sub(1) => _);
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    unsafe {
        asm!("rep stosb", inout("rcx") count => _, inout("rdi") to => _, in("al") byte as u8);
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    for at in 0..count {
        // Volatile, lest this loop be made a call of memcmp.
        let (x, y) = unsafe { (a.add(at).read_volatile(), b.add(at).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    unsafe { memcmp(a, b, count) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    (0..).find(|&at| unsafe { text.add(at).read_volatile() } == 0).unwrap_or(0)
}

#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
