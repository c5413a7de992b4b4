import Testing

@testable import LogStore

/// Small logs with every possible damage, one after the other: what it did not touch is there, what is
/// missing is named, and the tools agree with the start.
@Suite struct ContainmentTests {
    enum Shape: CaseIterable, Sendable {
        case clean, killed, cleanWithoutCheckpoints, killedWithoutCheckpoints

        func log() throws -> ContainmentLog {
            switch self {
            case .clean: try .make(.clean)
            case .killed: try .make(.killed)
            case .cleanWithoutCheckpoints: try .make(.clean, checkpoints: false)
            case .killedWithoutCheckpoints: try .make(.killed, checkpoints: false)
            }
        }
    }

    /// Parts of one test that run beside each other.
    private static let parts = 0..<2

    @Test("the log holds something of everything, and nothing is wrong with it")
    func everything() throws {
        for shape in Shape.allCases {
            let log = try shape.log()
            #expect(log.expected.damage == [] && log.expected.nonsense == [])
            let blocks = log.pieces.count { if case .block = $0.content { true } else { false } }
            #expect(blocks >= 3)
            #expect(log.lastSegment >= 4 && log.names.count >= 5)
            for queue: UInt32 in 1...3 {
                let entries = log.expected.queues[queue]?.entries ?? [:]
                #expect(entries.count >= (queue < 3 ? 8 : 1))
            }
            let sound = ContainmentCase(log: log, changes: [:], description: "\(shape)")
            #expect(sound.problem(tools: true, twice: true) == nil)
        }
    }

    // MARK: Bits

    private func flip(_ log: ContainmentLog, _ name: String, _ offset: Int, _ bit: Int)
        -> ContainmentCase
    {
        var bytes = log.bytes(name)
        bytes[offset] ^= 1 << UInt8(bit)
        return ContainmentCase(
            log: log,
            changes: [name: bytes],
            description: "bit \(bit) of byte \(offset) of \(name)"
        )
    }

    @Test("one flipped bit in each byte costs what it hit", arguments: parts)
    func oneBitInEachByte(part: Int) throws {
        let log = try Shape.clean.log()
        let cases = log.names.lazy.flatMap { name in
            stride(from: part, to: log.bytes(name).count, by: Self.parts.count).lazy.map {
                flip(log, name, $0, $0 / 3 % 8)
            }
        }
        #expect(problems(cases, tools: { $0 % 8 == 0 }, twice: { $0 % 8 == 1 }) == [])
    }

    @Test("without checkpoints, too", arguments: parts)
    func oneBitInSomeBytes(part: Int) throws {
        let log = try Shape.killedWithoutCheckpoints.log()
        let cases = log.names.lazy.flatMap { name in
            stride(from: part, to: log.bytes(name).count, by: 2 * Self.parts.count).lazy.map {
                flip(log, name, $0, $0 / 5 % 8)
            }
        }
        #expect(problems(cases, tools: { $0 % 8 == 0 }, twice: { $0 % 8 == 1 }) == [])
    }

    @Test("verify finds damage in a form of a segment that does not serve")
    func bothForms() throws {
        let log = try ContainmentLog.make(.killed, keepsBothForms: true)
        let packed = try #require(log.names.first { $0.hasSuffix(".pak") })
        #expect(log.names.contains(FileNames.segment(1)))
        #expect(log.expected.report.unknownFiles == [])
        let cases = stride(from: 0, to: log.bytes(packed).count, by: 7).map {
            flip(log, packed, $0, $0 % 8)
        }
        #expect(problems(cases, tools: { _ in true }) == [])
    }

    private func smallLog(checkpoints: Bool) throws -> ContainmentLog {
        try ContainmentLog.make(.killed, checkpoints: checkpoints, packs: false, segments: 2)
    }

    @Test("every bit of a small log costs what it hit", arguments: 0..<8)
    func everyBit(_ bit: Int) throws {
        let log = try smallLog(checkpoints: bit % 2 == 0)
        let cases = log.names.lazy.flatMap { name in
            // One checksum covers all of a checkpoint, so each byte of it gets one bit.
            let step = name.hasSuffix(".chk") ? 8 : 1
            let start = step == 1 ? 0 : bit
            return stride(from: start, to: log.bytes(name).count, by: step).lazy.map {
                flip(log, name, $0, bit)
            }
        }
        #expect(problems(cases, tools: { $0 % 32 == 0 }, twice: { $0 % 32 == 1 }) == [])
    }

    // MARK: Cuts

    private func cuts(_ log: ContainmentLog, each step: Int) -> [ContainmentCase] {
        log.names.flatMap { name in
            let bytes = log.bytes(name)
            let step = name.hasSuffix(".chk") ? max(step, 8) : step
            return stride(from: 0, to: bytes.count, by: step).map { length in
                ContainmentCase(
                    log: log,
                    changes: [name: Array(bytes[..<length])],
                    description: "\(name) cut at byte \(length)"
                )
            }
        }
    }

    @Test(
        "a small log's file that is cut at any byte costs what is behind the cut",
        arguments: parts
    )
    func cutsAnywhere(part: Int) throws {
        let found = problems(
            cuts(try smallLog(checkpoints: part == 0), each: 1),
            tools: { $0 % 16 == 0 },
            twice: { $0 % 16 == 1 }
        )
        #expect(found == [])
    }

    @Test(
        "a file that is cut costs what is behind the cut",
        arguments: [Shape.killed, .cleanWithoutCheckpoints]
    )
    func cuts(_ shape: Shape) throws {
        let found = problems(
            cuts(try shape.log(), each: 3),
            tools: { $0 % 8 == 0 },
            twice: { $0 % 8 == 1 }
        )
        #expect(found == [])
    }

    @Test("a file that is missing costs what stood in it", arguments: Shape.allCases)
    func missing(_ shape: Shape) throws {
        let log = try shape.log()
        let cases = log.names.map { name in
            ContainmentCase(
                log: log,
                changes: [name: [UInt8]?.none],
                description: "\(name) is gone"
            )
        }
        #expect(problems(cases, tools: { _ in true }, twice: { _ in true }) == [])
    }

    // MARK: Sectors

    /// One sector of a file, which may be shorter at its end.
    private struct Sector {
        let name: String
        let range: Range<Int>
    }

    private func sectors(_ log: ContainmentLog, size: Int) -> [Sector] {
        log.names.flatMap { name in
            stride(from: 0, to: log.bytes(name).count, by: size).map { start in
                Sector(name: name, range: start..<min(start + size, log.bytes(name).count))
            }
        }
    }

    @Test("a sector of zeros costs what stood in it", arguments: Shape.allCases, [64, 128, 512])
    func zeroedSectors(_ shape: Shape, size: Int) throws {
        let log = try shape.log()
        let cases = sectors(log, size: size).map { sector in
            var bytes = log.bytes(sector.name)
            for offset in sector.range { bytes[offset] = 0 }
            return ContainmentCase(
                log: log,
                changes: [sector.name: bytes],
                description: "zeros in \(sector.range) of \(sector.name)"
            )
        }
        #expect(problems(cases, tools: { _ in true }, twice: { _ in true }) == [])
    }

    @Test("two exchanged sectors cost what stood in both", arguments: Shape.allCases, [128, 512])
    func exchangedSectors(_ shape: Shape, size: Int) throws {
        let log = try shape.log()
        let sectors = sectors(log, size: size)
        var cases: [ContainmentCase] = []
        for (index, first) in sectors.enumerated() {
            for second in sectors[(index + 1)...] { cases.append(exchange(log, first, second)) }
        }
        let step = size == 512 ? 1 : 5
        let some = cases.enumerated().filter { $0.offset % step == 0 }.map(\.element)
        #expect(problems(some, tools: { $0 % 8 == 0 }, twice: { $0 % 8 == 1 }) == [])
    }

    private func exchange(_ log: ContainmentLog, _ first: Sector, _ second: Sector)
        -> ContainmentCase
    {
        var changes: [String: [UInt8]] = [:]
        for name in [first.name, second.name] { changes[name] = log.bytes(name) }
        let count = min(first.range.count, second.range.count)
        for offset in 0..<count {
            let (here, there) = (first.range.lowerBound + offset, second.range.lowerBound + offset)
            changes[first.name]?[here] = log.bytes(second.name)[there]
            changes[second.name]?[there] = log.bytes(first.name)[here]
        }
        return ContainmentCase(
            log: log,
            changes: changes,
            description: "\(first.range) of \(first.name) and \(second.range) of \(second.name)"
        )
    }
}
