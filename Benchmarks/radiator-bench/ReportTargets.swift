/// What radiator has to reach, and whether it did.
extension Report {
    enum Target {
        /// What a small machine must do at least.
        static let messagesPerSecond = 1000.0

        static let backlogMemoryMebibytes = 96.0
        static let restartSecondsAfterKill = 3.0
        static let restartSecondsAfterStop = 1.0
        /// Of the rate at which the smallest backlog is drained.
        static let drainShare = 0.5
        static let referenceMessages = 10_000

        static let writtenPerMessageByte = 1.2
        /// With a larger share of other programs in what was written, it is not judged.
        static let otherShareMax = 0.05
        static let packedDiskShare = 0.4
        static let coldMegabytesPerSecond = 50.0

        static let neighboursRateShare = 0.9
        static let neighboursLatencyFactor = 2.0
        /// With fewer the bad ones were held up themselves, and the result means little.
        static let badConnectionsPerSecond = 80.0
    }

    /// True when nothing that could be judged fell short.
    var isTargetMet: Bool { misses.isEmpty }

    /// Each target that radiator missed, in words.
    var misses: [String] {
        rateMisses + backlogMisses + diskMisses + packedMisses + neighboursMisses
    }

    /// The last lines of the output: the targets, and what was not judged.
    var verdict: [String] {
        var lines = rateVerdict
        if backlogs.contains(where: \.isRadiator) {
            lines.append(
                Self.verdict(
                    "backlog within 96 MiB, back in 3 s after SIGKILL and 1 s after SIGTERM, "
                        + "drained at half the speed of 10,000 or more",
                    backlogMisses
                )
            )
            if referenceDrainRate == nil {
                lines.append("drain rate not judged: that needs backlog-256-10k beside it")
            }
        }
        if !disks.isEmpty {
            lines.append(Self.verdict("written to disk at most 1.2 x the messages", diskMisses))
            lines += disks.filter(Self.isDisturbed).map {
                "\($0.workload.name) not judged: other programs wrote "
                    + "\(Self.fixed($0.result.otherBytesPerSecond / 1e6)) MB/s"
            }
        }
        if !packed.isEmpty {
            lines.append(
                Self.verdict(
                    "packed to 40 % of the bodies, cold consumer at 50 MB/s",
                    packedMisses
                )
            )
        }
        if !neighbours.isEmpty {
            lines.append(
                Self.verdict(
                    "beside bad neighbours 90 % of the rate, twice the p99 at most",
                    neighboursMisses
                )
            )
        }
        return lines
    }

    private static func verdict(_ target: String, _ misses: [String]) -> String {
        "target, \(target): " + (misses.isEmpty ? "met" : "MISSED: ")
            + misses.joined(separator: "; ")
    }

    // MARK: rates

    private var rateMisses: [String] {
        rows.filter {
            $0.isRadiator && Self.isSlow($0) && !Self.isBoundByDisk($0)
        }.map { "\($0.workload.name) \(Self.grouped($0.result.messagesPerSecond)) a second" }
    }

    private var rateVerdict: [String] {
        let ours = rows.filter(\.isRadiator)
        let slowest = ours.min { $0.result.messagesPerSecond < $1.result.messagesPerSecond }
        guard let slowest else { return [] }
        let excused = ours.filter { Self.isSlow($0) && Self.isBoundByDisk($0) }
        let line = Self.verdict("1,000 persistent messages a second", rateMisses)
        return [
            "\(line); slowest is \(slowest.workload.name) with "
                + "\(Self.grouped(slowest.result.messagesPerSecond)) a second"
        ]
            + excused.map {
                "\($0.workload.name) not judged: the disk itself was too slow beside it"
            }
    }

    private static func isSlow(_ row: Row<Measurement>) -> Bool {
        row.result.messagesPerSecond < Target.messagesPerSecond
    }

    /// True when one sync for everything in flight could not reach the target on this disk.
    private static func isBoundByDisk(_ row: Row<Measurement>) -> Bool {
        let inFlight = Double(row.workload.load.producers * row.workload.load.window)
        return row.result.meanSyncsPerSecond * inFlight < Target.messagesPerSecond
    }

    // MARK: backlog

    private var referenceDrainRate: Double? {
        backlogs.first {
            $0.isRadiator && $0.workload.load.messages == Target.referenceMessages
        }?.result.drainRate
    }

    private var backlogMisses: [String] {
        backlogs.filter(\.isRadiator).flatMap { row in
            let result = row.result
            let grown = Double(result.grownMemoryBytes) / 1_048_576
            var misses: [String] = []
            if grown > Target.backlogMemoryMebibytes {
                misses.append("\(Self.fixed(grown)) MiB above empty")
            }
            if result.afterKill.seconds > Target.restartSecondsAfterKill {
                misses.append("\(Self.fixed(result.afterKill.seconds)) s after SIGKILL")
            }
            if result.afterStop.seconds > Target.restartSecondsAfterStop {
                misses.append("\(Self.fixed(result.afterStop.seconds)) s after SIGTERM")
            }
            if let reference = referenceDrainRate,
                result.drainRate < reference * Target.drainShare
            {
                misses.append("drained at \(Self.fixed(result.drainRate / reference)) of the speed")
            }
            return misses.map { "\(row.workload.name) \($0)" }
        }
    }

    // MARK: disk

    private static func isDisturbed(_ row: Row<DiskMeasurement>) -> Bool {
        row.result.otherShare > Target.otherShareMax
    }

    private var diskMisses: [String] {
        disks.filter {
            !Self.isDisturbed($0) && $0.result.perMessageByte > Target.writtenPerMessageByte
        }.map { "\($0.workload.name) \(Self.fixed($0.result.perMessageByte)) x" }
    }

    private var neighboursMisses: [String] {
        neighbours.flatMap { row in
            var misses: [String] = []
            if row.result.rateShare < Target.neighboursRateShare {
                misses.append("\(Self.fixed(row.result.rateShare)) of the rate")
            }
            if row.result.latencyFactor > Target.neighboursLatencyFactor {
                misses.append("\(Self.fixed(row.result.latencyFactor)) times the p99")
            }
            if row.result.badConnectionsPerSecond < Target.badConnectionsPerSecond {
                misses.append(
                    "only \(Self.fixed(row.result.badConnectionsPerSecond)) bad connections a second"
                )
            }
            return misses.map { "\(row.workload.name) \($0)" }
        }
    }

    private var packedMisses: [String] {
        packed.flatMap { row in
            let result = row.result
            var misses: [String] = []
            if !result.isPacked { misses.append("not all packed in time") }
            if result.diskShare > Target.packedDiskShare {
                misses.append("\(Self.fixed(result.diskShare)) of the bodies")
            }
            if result.coldMegabytesPerSecond < Target.coldMegabytesPerSecond {
                misses.append("\(Self.fixed(result.coldMegabytesPerSecond)) MB/s cold")
            }
            return misses.map { "\(row.workload.name) \($0)" }
        }
    }
}
