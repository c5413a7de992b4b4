import Glibc

/// What the kernel says about a process.
enum ProcessUsage {
    /// User and system time of all threads so far, in seconds; steps of 10 ms.
    static func cpuSeconds(of pid: pid_t) -> Double {
        // The second field is the program's name in parentheses and may hold anything.
        guard let stat = Files.read("/proc/\(pid)/stat"), let nameEnd = stat.lastIndex(of: ")")
        else { return 0 }
        let fields = stat[nameEnd...].split(separator: " ")
        guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13])
        else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
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
}
