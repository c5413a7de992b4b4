import Base
import LogStore
import Testing

@Suite struct VerifierTests {
    @Test("a sound store is sound, and everything in it was counted")
    func sound() throws {
        let sample = try SampleStore.make(rest: 3)
        let report = try verify(sample.files)
        #expect(report.damage == [])
        #expect(report.notes == [])
        #expect(report.tornTail == nil)
        #expect(sample.segments.count >= 4)
        #expect(report.segments == sample.segments.count)
        #expect(report.footers == sample.segments.count - 1)
        #expect(report.messages == 70 + 35 + 3)
        #expect(report.entries == report.messages + 7)
        #expect(report.unsettled == report.entries - 23)
        #expect(report.queues == 3)
        #expect(report.checkpoints.count == 2)
        #expect(report.checkpointInUse == report.checkpoints.last?.number)
    }

    @Test("one flipped bit in any byte of a sealed segment is found in that file", arguments: 0..<8)
    func everyByte(part: Int) throws {
        let sample = try SampleStore.make(messages: 40)
        let name = sample.file(1)
        let count = sample.files[name]?.count ?? 0
        var generator = SeededGenerator(seed: UInt64(part))
        var missed: [Int] = []
        for offset in stride(from: part, to: count, by: 8) {
            let bit = UInt8.random(in: 0..<8, using: &generator)
            let damaged = sample.changed(name) { $0[offset] ^= 1 << bit }
            let report = try verify(damaged)
            let isFound = report.damage.contains { item in
                item.file == name && item.offset <= offset && offset < item.offset + item.length
            }
            if !isFound || report.damage.contains(where: { $0.file != name }) {
                missed.append(offset)
            }
        }
        #expect(missed == [], "offsets whose damage was missed or blamed on another file")
    }

    @Test("without checkpoints, flipped bits in sealed segments are found as well")
    func everyByteWithoutCheckpoints() throws {
        let sample = try SampleStore.make(messages: 40, checkpoints: false)
        var generator = SeededGenerator(seed: 4)
        for _ in 0..<200 {
            let name = sample.file(Int.random(in: 0..<sample.segments.count - 1, using: &generator))
            let offset = Int.random(in: 0..<(sample.files[name]?.count ?? 0), using: &generator)
            let report = try verify(sample.changed(name) { $0[offset] ^= 4 })
            #expect(report.damage.first?.file == name, "offset \(offset)")
        }
    }

    @Test("a flipped bit in the active segment is damage, a torn tail, or in the unwritten rest")
    func activeSegment() throws {
        let sample = try SampleStore.make(messages: 40, rest: 6)
        let name = sample.file(sample.segments.count - 1)
        let last = try #require(sample.records(name).last { $0.kind == 1 }).offset
        let size = sample.files[name]?.count ?? 0
        #expect(size > sample.activeBytes + 500)
        for offset in stride(from: 0, to: size, by: 3) {
            let report = try verify(sample.changed(name) { $0[offset] ^= 32 })
            if offset < last {
                #expect(report.damage.first?.file == name, "offset \(offset)")
            } else if offset < sample.activeBytes {
                let isTold = report.tornTail?.file == name || report.notes.count == 1
                #expect(isTold, "offset \(offset)")
            } else {
                #expect(report.isSound && report.tornTail == nil, "offset \(offset)")
                #expect(report.notes == [])
            }
        }
    }

    @Test("a flipped bit anywhere in a checkpoint is named as that checkpoint's")
    func checkpoints() throws {
        let sample = try SampleStore.make()
        for name in sample.files.names where name.hasSuffix(".chk") {
            let size = sample.files[name]?.count ?? 0
            for offset in stride(from: 0, to: size, by: 5) {
                let report = try verify(sample.changed(name) { $0[offset] ^= 1 })
                #expect(report.damage.map(\.file) == [name], "offset \(offset)")
                #expect(report.damage.first?.reason.contains("checkpoint cannot be used") == true)
            }
        }
    }

    @Test("a sealed segment cut at any place is damage")
    func cutFile() throws {
        let sample = try SampleStore.make(messages: 40)
        let name = sample.file(1)
        let count = sample.files[name]?.count ?? 0
        for length in stride(from: 0, to: count, by: 8) {
            let report = try verify(sample.changed(name) { $0.removeLast($0.count - length) })
            #expect(report.damage.contains { $0.file == name }, "cut to \(length)")
        }
    }

    @Test("an active segment cut before what a checkpoint vouches for is damage")
    func cutActiveFile() throws {
        let sample = try SampleStore.make(messages: 40)
        let name = sample.file(sample.segments.count - 1)
        for length in stride(from: 0, to: sample.activeBytes, by: 8) {
            let report = try verify(sample.changed(name) { $0.removeLast($0.count - length) })
            #expect(report.damage.contains { $0.file == name }, "cut to \(length)")
        }
    }

    @Test("a zeroed sector and two swapped sectors are damage where they lie")
    func sectors() throws {
        let sample = try SampleStore.make(messages: 40)
        for index in 0..<sample.segments.count - 1 {
            let name = sample.file(index)
            let sectors = (sample.files[name]?.count ?? 0) / 512
            for sector in 0..<sectors {
                let range = sector * 512..<sector * 512 + 512
                let zeroed = try verify(
                    sample.changed(name) {
                        $0.replaceSubrange(range, with: repeatElement(0, count: 512))
                    }
                )
                #expect(zeroed.damage.contains { $0.file == name }, "sector \(sector)")
                let other = (sector + 3) % sectors * 512
                let swapped = try verify(
                    sample.changed(name) { bytes in
                        let kept = Array(bytes[range])
                        bytes.replaceSubrange(range, with: Array(bytes[other..<other + 512]))
                        bytes.replaceSubrange(other..<other + 512, with: kept)
                    }
                )
                #expect(swapped.damage.contains { $0.file == name }, "sector \(sector)")
            }
        }
    }

    @Test("a damaged footer is named as such, whichever of its bytes is wrong")
    func footer() throws {
        let sample = try SampleStore.make(messages: 40)
        let name = sample.file(0)
        let footer = try #require(sample.records(name).last)
        #expect(footer.kind == 8)
        for offset in footer.offset..<footer.offset + footer.length {
            let report = try verify(sample.changed(name) { $0[offset] ^= 2 })
            #expect(report.damage.map(\.offset) == [footer.offset], "byte \(offset)")
            #expect(report.damage.first?.reason == "the footer is damaged", "byte \(offset)")
        }
    }

    @Test("an unfinished last group is a torn tail and no damage")
    func tornTail() throws {
        let sample = try SampleStore.make(messages: 40, rest: 4)
        let name = sample.file(sample.segments.count - 1)
        let last = try #require(sample.records(name).last { $0.kind == 1 }).offset
        for length in stride(from: last + 56, to: sample.activeBytes, by: 8) {
            let report = try verify(
                sample.changed(name) { bytes in
                    for offset in length..<bytes.count { bytes[offset] = 0 }
                }
            )
            #expect(report.isSound, "\(report.damage)")
            #expect(report.tornTail?.file == name)
        }
    }

    @Test("a removed segment that a checkpoint lists is damage; without checkpoints nobody knows")
    func removedSegment() throws {
        let sample = try SampleStore.make(messages: 40)
        let files = sample.files.copy()
        files[sample.file(1)] = nil
        let report = try verify(files)
        #expect(
            report.damage.contains { $0.file == sample.file(1) && $0.reason.contains("missing") }
        )
        for name in files.names where name.hasSuffix(".chk") { files[name] = nil }
        let shortened = try verify(files)
        #expect(shortened.damage == [])
    }

    @Test("a checkpoint that the records contradict is found although its checksum holds")
    func forgedCheckpoint() throws {
        let sample = try SampleStore.make(messages: 40)
        let name = try #require(sample.files.names.last { $0.hasSuffix(".chk") })
        let forged = sample.changed(name) { bytes in
            // The first queue's next sequence: behind header, segment lines, and id and name length.
            let segments = Int(bytes[68])
            let dropped = Int(bytes[72])
            bytes[96 + segments * 56 + dropped * 16 + 8] += 1
            for index in 12..<16 { bytes[index] = 0 }
            let crc = Checksum.crc32c(0, bytes.span.bytes)
            for index in 0..<4 { bytes[12 + index] = UInt8(crc >> (index * 8) & 0xFF) }
        }
        let report = try verify(forged)
        #expect(report.damage.map(\.file) == [name])
        #expect(report.damage.first?.reason.contains("/queue/a goes on at") == true)
    }
}
