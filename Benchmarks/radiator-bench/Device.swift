import Glibc

/// How fast the disk below a directory makes small writes durable.
enum DeviceProbe {
    private static let seconds = 0.3
    private static let recordBytes = 256
    private static let fileBytes = 1 << 20

    /// What the disk does when it is asked without pause.
    static func measure(in directory: String) throws -> Figures {
        let (latencies, taken) = try sync(in: directory, for: seconds)
        return Figures([
            .deviceSyncsPerSecond: Double(latencies.total) / taken,
            .deviceSyncP99Microseconds: latencies.microseconds(0.99),
        ])
    }

    /// What it does when it is asked so many times a second, and processors sleep in between.
    static func measure(in directory: String, perSecond: Double, seconds: Double) throws -> Figures
    {
        let (latencies, _) = try sync(in: directory, for: seconds, perSecond: perSecond)
        return Figures([.pacedSyncP99Microseconds: latencies.microseconds(0.99)])
    }

    /// Writes and syncs 256 bytes at a time into blocks written before, at their times if there is a
    /// pace.
    private static func sync(
        in directory: String,
        for seconds: Double,
        perSecond: Double? = nil
    ) throws -> (latencies: LatencyHistogram, seconds: Double) {
        let path = "\(directory)/sync-probe"
        let file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)
        guard file >= 0 else { throw Files.failure("cannot write \(path)") }
        defer {
            close(file)
            unlink(path)
        }
        let zeros = [UInt8](repeating: 0, count: fileBytes)
        guard pwrite(file, zeros, zeros.count, 0) == zeros.count, fdatasync(file) == 0 else {
            throw Files.failure("cannot write \(path)")
        }
        let record = [UInt8](repeating: 1, count: recordBytes)
        let whole = Stopwatch()
        var latencies = LatencyHistogram()
        while whole.seconds < seconds {
            if let perSecond {
                let wait = Double(latencies.total) / perSecond - whole.seconds
                if wait > 0 { pause(seconds: wait) }
            }
            let place = off_t(Int(latencies.total) * recordBytes % fileBytes)
            let one = Stopwatch()
            guard pwrite(file, record, record.count, place) == recordBytes, fdatasync(file) == 0
            else { throw Files.failure("cannot sync \(path)") }
            latencies.record(nanoseconds: UInt64(one.seconds * 1e9))
        }
        return (latencies, whole.seconds)
    }
}

/// The device below a directory, as the kernel counts for it.
struct BlockDevice {
    struct Traffic {
        var readBytes = 0
        var writtenBytes = 0
    }

    private static let sectorBytes = 512

    private let major: String
    private let minor: String

    init(under directory: String) throws {
        var status = stat()
        guard stat(directory, &status) == 0 else { throw Files.failure("cannot stat \(directory)") }
        // As `makedev` puts them together.
        let device = UInt64(status.st_dev)
        major = String((device >> 8) & 0xFFF | (device >> 32) & ~0xFFF)
        minor = String(device & 0xFF | (device >> 12) & ~0xFF)
        _ = try traffic()
    }

    /// Bytes read from and written to the device since the machine was started.
    ///
    /// `/proc/PID/io` would not do: it counts a whole large folio for a small write into it.
    func traffic() throws -> Traffic {
        for line in (Files.read("/proc/diskstats") ?? "").split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 9, fields[0] == major, fields[1] == minor,
                let read = Int(fields[5]), let written = Int(fields[9])
            else { continue }
            return Traffic(
                readBytes: read * Self.sectorBytes,
                writtenBytes: written * Self.sectorBytes
            )
        }
        throw LoadError(
            description: "/proc/diskstats has no device \(major):\(minor); "
                + "choose a --directory on a file system of a disk"
        )
    }
}
