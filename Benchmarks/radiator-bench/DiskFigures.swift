import Glibc

/// What messages that pass through cost the disk.
struct DiskMeasurement {
    var messages = 0
    var seconds = 0.0
    var bodyBytes = 0
    /// SEND frames without their receipt header and the final NUL: headers and body.
    var messageBytes = 0
    /// What reached the device meanwhile, also from other programs.
    var writtenBytes = 0
    /// What others wrote just before, while the daemon had nothing to do.
    var otherBytesPerSecond = 0.0

    var perBodyByte: Double { Double(writtenBytes) / Double(max(1, bodyBytes)) }
    var perMessageByte: Double { Double(writtenBytes) / Double(max(1, messageBytes)) }
    /// The share of others in what was written, if they went on as before.
    var otherShare: Double { otherBytesPerSecond * seconds / Double(max(1, writtenBytes)) }
}

/// What is left of messages that nobody touched, and how fast they are read then.
struct PackedMeasurement {
    var messages = 0
    var bodyBytes = 0
    /// Of files that are there before the first message, prepared for some.
    var emptyDiskBytes = 0
    var fullDiskBytes = 0
    var waitSeconds = 0.0
    /// False when the time to wait was over before the last file was packed.
    var isPacked = false
    var packedDiskBytes = 0
    /// Of the packed files alone, without the active file and the one prepared after it.
    var packedFileBytes = 0
    var drain = Measurement()
    /// What the device delivered meanwhile: shows that the page cache was cold.
    var readBytes = 0

    /// What was added to the empty directory, by byte of body.
    var diskShare: Double {
        Double(packedDiskBytes - emptyDiskBytes) / Double(max(1, bodyBytes))
    }
    var coldMegabytesPerSecond: Double {
        drain.seconds > 0 ? Double(bodyBytes) / drain.seconds / 1e6 : 0
    }
}

/// Measures bytes on and to the disk below a directory.
struct DiskMeter {
    private static let quietSeconds: UInt32 = 3
    private static let packingSecondsMax = 180.0

    let workload: Workload
    let peer: any Peer
    let driver: LoadDriver
    let directory: String

    /// Sends and consumes; counts what the device wrote until all was on it.
    func measureTraffic() throws -> DiskMeasurement {
        let device = try BlockDevice(under: directory)
        let server = try peer.start(in: directory)
        defer { server.end() }
        sync()
        let quietStart = try device.traffic()
        sleep(Self.quietSeconds)
        let start = try device.traffic()
        let run = try driver.run(workload.load, on: server, queue: workload.name)
        sync()
        let end = try device.traffic()
        let headers =
            StompProducer.head(
                queue: "\(workload.name).0",
                slot: 0,
                bodyBytes: workload.load.bodyBytes
            ).utf8.count - "receipt:0\n".utf8.count
        return DiskMeasurement(
            messages: run.messages,
            seconds: run.seconds,
            bodyBytes: run.messages * workload.load.bodyBytes,
            messageBytes: run.messages * (workload.load.bodyBytes + headers),
            writtenBytes: end.writtenBytes - start.writtenBytes,
            otherBytesPerSecond: Double(start.writtenBytes - quietStart.writtenBytes)
                / Double(Self.quietSeconds)
        )
    }

    /// Leaves messages alone until they are packed, then reads them from a cold page cache.
    func measurePacked() throws -> PackedMeasurement {
        let device = try BlockDevice(under: directory)
        let server = try peer.start(in: directory)
        defer { server.end() }
        sleep(1)
        let emptyDiskBytes = try Files.allocatedBytes(in: directory)
        let fill = try driver.run(workload.load, on: server, queue: workload.name)
        var result = PackedMeasurement(messages: fill.messages)
        result.emptyDiskBytes = emptyDiskBytes
        result.bodyBytes = fill.messages * workload.load.bodyBytes
        result.fullDiskBytes = try Files.allocatedBytes(in: directory)
        let watch = Stopwatch()
        while !result.isPacked, watch.seconds < Self.packingSecondsMax {
            sleep(1)
            result.isPacked = try isPacked()
        }
        result.waitSeconds = watch.seconds
        result.packedDiskBytes = try Files.allocatedBytes(in: directory)
        result.packedFileBytes = try Files.allocatedBytes(in: directory) { $0.hasSuffix(".pak") }
        try Files.dropPageCache(of: directory)
        let before = try device.traffic()
        result.drain = try driver.run(workload.load.drain, on: server, queue: workload.name)
        result.readBytes = try device.traffic().readBytes - before.readBytes
        return result
    }

    /// True when only the active file is left in the form in which it was written.
    private func isPacked() throws -> Bool {
        let names = try Files.names(in: directory).compactMap { $0.split(separator: "/").last }
        let plain = names.count { $0.hasPrefix("segment-") && $0.hasSuffix(".log") }
        return plain <= 1 && names.contains { $0.hasSuffix(".pak") }
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
