/// Messages that pass through: what the disk writes for them.
extension Family {
    static let disk = Family(
        name: "disk",
        jsonKey: "disk",
        columns: [
            .messages, .messagesPerSecond, .writtenBytes, .writtenPerBodyByte,
            .writtenPerMessageByte, .otherBytesPerSecond, .otherShare,
        ],
        workloads: [256, 1024].map(disk),
        targets: [256, 1024].map {
            .atMost(1.2, .writtenPerMessageByte, in: "disk-\($0)", unless: disturbance)
        }
    )

    private static let bytesOfBodies = 2_000_000_000

    private static func disk(bodyBytes: Int) -> Workload {
        var load = Load.pipe(4, bodyBytes: bodyBytes)
        load.messages = bytesOfBodies / bodyBytes
        return Workload(
            name: "disk-\(bodyBytes)",
            summary: "2 GB of \(bodyBytes)-byte bodies sent and consumed: bytes written to disk",
            isLong: true,
            isRepeated: false
        ) { [load] stage in
            try stage.withServer { server in
                let traffic = try QuietTraffic(under: stage.directory)
                let run = try stage.driver.run(load, on: server, queue: stage.queue)
                var figures = run.figures
                figures.add(try traffic.figures(of: run, load: load, queue: stage.queue))
                return figures
            }
        }
    }

    /// With more of other programs in what was written, it says little about the daemon.
    private static let otherShareMax = 0.05

    /// Why bytes written to a disk are not judged.
    static func disturbance(_ figures: Figures) -> String? {
        guard let share = figures[.otherShare], share > otherShareMax else { return nil }
        let rate = Figure.fixed((figures[.otherBytesPerSecond] ?? 0) / 1e6)
        return "other programs wrote \(rate) MB/s"
    }
}

/// Counts what the device below a directory writes from now on, knowing what others write.
struct QuietTraffic {
    private static let quietSeconds = 3.0

    private let device: BlockDevice
    private let startBytes: Int
    private let otherBytesPerSecond: Double

    /// Watches the others for some seconds, while the server has nothing to do.
    init(under directory: String) throws {
        device = try BlockDevice(under: directory)
        Files.writeBack()
        let before = try device.traffic().writtenBytes
        pause(seconds: Self.quietSeconds)
        startBytes = try device.traffic().writtenBytes
        otherBytesPerSecond = Double(startBytes - before) / Self.quietSeconds
    }

    /// What was written for the messages of a run that has just ended.
    func figures(of run: Measurement, load: Load, queue: String) throws -> Figures {
        Files.writeBack()
        let written = Double(try device.traffic().writtenBytes - startBytes)
        let messages = Double(max(1, run.messages))
        let messageBytes = Double(StompFrames(load: load, queue: queue).messageBytes)
        return Figures([
            .writtenBytes: written,
            .writtenBytesPerMessage: written / messages,
            .writtenPerBodyByte: written / messages / Double(load.bodyBytes),
            .writtenPerMessageByte: written / messages / messageBytes,
            .otherBytesPerSecond: otherBytesPerSecond,
            .otherShare: otherBytesPerSecond * run.seconds / max(1, written),
        ])
    }
}
