/// Messages that nobody touches: what is left of them, and how fast they are read then.
extension Family {
    static let packed = Family(
        name: "packed",
        jsonKey: "packed",
        columns: [
            .messages, .emptyDiskBytes, .fullDiskBytes, .packedDiskBytes, .packedFileBytes,
            .diskShareOfBodies, .waitSeconds, .isPacked, .coldMegabytesPerSecond, .readBytes,
            .drainCPUMicroseconds,
        ],
        workloads: [
            Workload(
                name: "packed",
                summary:
                    "600000 JSON bodies of 1 KiB left until packed: disk used, a cold consumer",
                isLong: true,
                isRepeated: false
            ) { stage in try PackedMeter(stage: stage).measure() }
        ],
        targets: [
            .atLeast(1, .isPacked, in: "packed"),
            .atMost(0.4, .diskShareOfBodies, in: "packed"),
            .atLeast(50, .coldMegabytesPerSecond, in: "packed"),
        ]
    )
}

private struct PackedMeter {
    private static let packingSecondsMax = 180.0
    private static let load = Load(
        producers: 4,
        window: 100,
        bodyBytes: 1024,
        body: .json,
        messages: 600_000
    )

    let stage: Stage

    func measure() throws -> Figures {
        let device = try BlockDevice(under: stage.directory)
        let store = StoreFiles(directory: stage.directory)
        return try stage.withServer { server in
            let empty = try store.allocatedBytes()
            let fill = try stage.driver.run(Self.load, on: server, queue: stage.queue)
            let full = try store.allocatedBytes()
            let watch = Stopwatch()
            let isPacked = try store.waitForPacking(Self.packingSecondsMax)
            let waitSeconds = watch.seconds
            let packed = try store.allocatedBytes()
            let packedFiles = try store.allocatedBytes(packedOnly: true)
            try Files.dropPageCache(of: stage.directory)
            let before = try device.traffic()
            let drain = try stage.driver.run(Self.load.drain(), on: server, queue: stage.queue)
            let bodies = Double(fill.messages * Self.load.bodyBytes)
            return Figures([
                .messages: Double(fill.messages),
                .bodyBytes: bodies,
                .emptyDiskBytes: Double(empty),
                .fullDiskBytes: Double(full),
                .packedDiskBytes: Double(packed),
                .packedFileBytes: Double(packedFiles),
                .diskShareOfBodies: Double(packed - empty) / bodies,
                .waitSeconds: waitSeconds,
                .isPacked: isPacked ? 1 : 0,
                .coldMegabytesPerSecond: bodies / drain.seconds / 1e6,
                .readBytes: Double(try device.traffic().readBytes - before.readBytes),
                .drainCPUMicroseconds: drain.serverCPUMicroseconds,
            ])
        }
    }
}

/// The daemon's files, seen from outside.
struct StoreFiles {
    let directory: String

    func allocatedBytes(packedOnly: Bool = false) throws -> Int {
        try Files.allocatedBytes(in: directory) { !packedOnly || $0.hasSuffix(".pak") }
    }

    /// False when only some were packed within the time.
    func waitForPacking(_ secondsMax: Double) throws -> Bool {
        let watch = Stopwatch()
        while watch.seconds < secondsMax {
            if try isPacked() { return true }
            pause(seconds: 1)
        }
        return try isPacked()
    }

    /// True when only the active file is left in the form in which it was written.
    ///
    /// A new store's first file, which is left early, is too short to count.
    private func isPacked() throws -> Bool {
        let names = try Files.names(in: directory).compactMap { $0.split(separator: "/").last }
        let plain = names.filter { $0.hasPrefix("segment-") && $0.hasSuffix(".log") }
        let long = try plain.filter { name in
            try Files.allocatedBytes(in: directory) { $0.hasSuffix(name) } > 1 << 20
        }
        return long.count <= 1 && names.contains { $0.hasSuffix(".pak") }
    }
}
