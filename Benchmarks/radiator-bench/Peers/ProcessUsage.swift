import Glibc

/// What the kernel says about a process.
enum ProcessUsage {
    /// User and system time of all threads so far, in seconds; 0 when it has ended.
    static func cpuSeconds(of pid: pid_t) -> Double {
        var clock = clockid_t()
        var time = timespec()
        guard clock_getcpuclockid(pid, &clock) == 0, clock_gettime(clock, &time) == 0 else {
            return 0
        }
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    /// A memory field of `/proc/PID/status` in bytes: VmRSS is now, VmHWM the highest.
    static func memoryBytes(of pid: pid_t, field: String = "VmHWM") -> Int {
        let lines = Files.read("/proc/\(pid)/status")?.split(separator: "\n") ?? []
        guard let line = lines.first(where: { $0.hasPrefix(field + ":") }),
            let kilobytes = Int(line.filter(\.isNumber))
        else { return 0 }
        return kilobytes * 1024
    }

    /// Makes VmHWM start again from the present value; without the right to, it stays.
    static func resetPeakMemory(of pid: pid_t) {
        let file = open("/proc/\(pid)/clear_refs", O_WRONLY)
        guard file >= 0 else { return }
        write(file, "5", 1)
        close(file)
    }

    /// Allows this process, and all that it starts, as many open files as the system lets it.
    static func raiseOpenFilesMax() {
        var limit = rlimit()
        let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(kind, &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(kind, &limit)
    }
}
