//! What libxl asks of the store for a domain, as the recorded host of `xenstore-conformance`
//! shows it: which nodes, which permissions, in which transactions. A network and a disk
//! stand for the recorded framebuffer.
//!
//! Left out is what looks at the domains of others: libxl removes a shared directory when
//! the last domain's entry in it went, and for that lists it.

use xenstore_model::acl::Permission;
use xenstore_model::operation::Action;
use xenstore_model::request::Request;

/// A domain as its toolstack sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Domain {
    /// Its number.
    pub domid: u16,
    /// How many had the number before.
    pub life: u32,
}

/// The directories that all domains share.
pub const SHARED: [&str; 10] = [
    "/local",
    "/local/domain",
    "/local/domain/0",
    "/local/domain/0/backend",
    "/local/domain/0/backend/console",
    "/local/domain/0/backend/vif",
    "/local/domain/0/backend/vbd",
    "/local/pool",
    "/vm",
    "/libxl",
];

/// The devices of every domain, by class, with their paths below the domain's home.
pub const DEVICES: [(&str, &str); 3] =
    [("console", "console"), ("vif", "device/vif/0"), ("vbd", "device/vbd/51712")];

/// Requests that belong into one transaction, being collected.
#[derive(Default)]
struct Sheet(Vec<Request>);

impl Sheet {
    fn ask(&mut self, path: &str, action: Action) {
        self.0.push(Request::Node(path.to_owned(), action));
    }

    fn write(&mut self, path: &str, value: &str) {
        self.ask(path, Action::Write(value.to_owned()));
    }

    fn permit(&mut self, path: &str, list: &[Permission]) {
        self.ask(path, Action::SetPerms(list.to_vec()));
    }

    fn write_for(&mut self, path: &str, value: &str, list: &[Permission]) {
        self.write(path, value);
        self.permit(path, list);
    }

    fn remove(&mut self, path: &str) {
        self.ask(path, Action::Rm);
    }
}

fn permission(letter: char, domid: u16) -> Permission {
    Permission { letter, domid }
}

impl Domain {
    /// Where its nodes live.
    pub fn home(self) -> String {
        format!("/local/domain/{}", self.domid)
    }

    /// Where what it is apart from its number lives.
    pub fn vm(self) -> String {
        format!("/vm/{:08x}-0000-4000-8000-{:012x}", self.life, self.domid)
    }

    /// Where libxl keeps what is its own.
    pub fn libxl(self) -> String {
        format!("/libxl/{}", self.domid)
    }

    /// Where the other end of a device is.
    pub fn backend(self, class: &str) -> String {
        format!("/local/domain/0/backend/{class}/{}", self.domid)
    }

    fn readable(self) -> [Permission; 2] {
        [permission('n', 0), permission('r', self.domid)]
    }

    fn its(self) -> [Permission; 1] {
        [permission('n', self.domid)]
    }

    /// A domain is made.
    pub fn skeleton(self) -> Vec<Request> {
        let (home, vm, libxl) = (self.home(), self.vm(), self.libxl());
        let (readable, its) = (self.readable(), self.its());
        let at = |name: &str| format!("{home}/{name}");
        let mut sheet = Sheet::default();
        for (path, list) in [(&home, &readable[..]), (&vm, &readable), (&libxl, &readable[..1])] {
            sheet.remove(path);
            sheet.write_for(path, "", list);
        }
        sheet.write_for(&format!("{libxl}/device"), "", &[permission('n', 0)]);
        sheet.write(&at("vm"), &vm);
        sheet.write(&at("name"), &format!("guest-{}-{}", self.domid, self.life));
        for directory in ["cpu", "memory", "device", "control"] {
            sheet.write_for(&at(directory), "", &readable);
        }
        for name in ["shutdown", "feature-poweroff", "feature-reboot", "feature-suspend", "sysrq"] {
            sheet.write_for(&at(&format!("control/{name}")), "", &its);
        }
        for name in ["device/suspend/event-channel", "data", "drivers", "feature", "attr", "error"]
        {
            sheet.write_for(&at(name), "", &its);
        }
        sheet.write(&format!("{vm}/uuid"), &vm);
        sheet.write(&at("control/platform-feature-multiprocessor-suspend"), "1");
        sheet.write(&at("control/platform-feature-xs_reset_watches"), "1");
        sheet.write(&format!("{libxl}/type"), "pv");
        sheet.0
    }

    /// Its memory was built.
    pub fn build(self) -> Vec<Request> {
        let (home, vm) = (self.home(), self.vm());
        let mut sheet = Sheet::default();
        for (name, value) in [
            ("memory/static-max", "131072"),
            ("memory/target", "131072"),
            ("memory/videoram", "0"),
            ("domid", &self.domid.to_string()),
            ("store/port", "1"),
            ("store/ring-ref", "248833"),
            ("cpu/0/availability", "online"),
        ] {
            sheet.write(&format!("{home}/{name}"), value);
        }
        for (name, value) in [("ostype", "linux"), ("kernel", "/guest/vmlinuz")] {
            sheet.write(&format!("{vm}/image/{name}"), value);
        }
        sheet.write(&format!("{vm}/start_time"), "1795344029.48");
        sheet.0
    }

    /// It gets a device.
    pub fn add_device(self, class: &str, place: &str) -> Vec<Request> {
        let front = format!("{}/{place}", self.home());
        let back = format!("{}/0", self.backend(class));
        let own = format!("{}/device/{class}/0", self.libxl());
        let domid = self.domid.to_string();
        let (readable, its) = (self.readable(), [permission('n', self.domid), permission('r', 0)]);
        let mut sheet = Sheet::default();
        sheet.remove(&own);
        sheet.write(&format!("{own}/frontend"), &front);
        sheet.write(&format!("{own}/backend"), &back);
        sheet.remove(&front);
        sheet.ask(&front, Action::Mkdir);
        sheet.permit(&front, &its);
        sheet.write(&format!("{front}/backend"), &back);
        sheet.write_for(&format!("{front}/backend-id"), "0", &its);
        sheet.write_for(&format!("{front}/state"), "1", &its);
        sheet.remove(&back);
        sheet.ask(&back, Action::Mkdir);
        sheet.permit(&back, &readable);
        for place in [&back, &own] {
            for (name, value) in [("frontend-id", domid.as_str()), ("online", "1"), ("state", "1")]
            {
                sheet.write(&format!("{place}/{name}"), value);
            }
        }
        sheet.write(&format!("{back}/frontend"), &front);
        sheet.0
    }

    /// It loses a device.
    pub fn remove_device(self, class: &str, place: &str) -> Vec<Request> {
        let (front, libxl) = (format!("{}/{place}", self.home()), self.libxl());
        let mut sheet = Sheet::default();
        sheet.remove(&front);
        for (path, above) in [
            (format!("{libxl}/device/{class}/0"), format!("{libxl}/device/{class}")),
            (format!("{}/0", self.backend(class)), self.backend(class)),
        ] {
            sheet.remove(&path);
            sheet.ask(&above, Action::Read);
            sheet.ask(&above, Action::Directory);
            sheet.remove(&above);
        }
        sheet.0
    }

    /// Nothing of it is to be left.
    pub fn clear_up(self) -> Vec<Request> {
        let (home, vm) = (self.home(), self.vm());
        let mut sheet = Sheet::default();
        sheet.ask(&format!("{home}/vm"), Action::Read);
        for path in [&vm, &home, &self.libxl(), &format!("{home}/hvmloader")] {
            sheet.remove(path);
        }
        sheet.0
    }
}
