// A decoder of segments written from docs/format.md alone: it shares no code with the engine, so a
// mistake would have to be made twice.

struct HandDecoder {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// A record as `kind: what is in it`.
    struct Record: Equatable {
        let offset: Int
        let length: Int
        let kind: Int
        let flags: Int
        let text: String
    }

    let bytes: [UInt8]

    /// CRC32C, bit by bit.
    static func crc32c(_ start: UInt32, _ bytes: some Sequence<UInt8>) -> UInt32 {
        var crc = ~start
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
        }
        return ~crc
    }

    func number(_ offset: Int, _ size: Int) -> Int {
        (0..<size).reduce(0) { $0 | Int(bytes[offset + $1]) << ($1 * 8) }
    }

    func text(_ offset: Int, _ size: Int) -> String {
        String(decoding: bytes[offset..<offset + size], as: UTF8.self)
    }

    /// All records of the segment, each checked.
    func records() throws -> [Record] {
        guard text(0, 8) == "RATORSEG", number(8, 4) == 3 else {
            throw Failure(description: "no segment of version 3")
        }
        var head = Array(bytes[..<64])
        head.replaceSubrange(12..<16, with: [0, 0, 0, 0])
        guard Self.crc32c(0, head) == UInt32(number(12, 4)) else {
            throw Failure(description: "the segment header's checksum")
        }
        let seed = Self.crc32c(0, Array(bytes[16..<32]) + Array(bytes[32..<40]))
        var records: [Record] = []
        var at = 64
        var groupEnd = 64
        while at < bytes.count {
            let length = number(at + 4, 4)
            guard length >= 16, length % 8 == 0, at + length <= bytes.count else {
                throw Failure(description: "a length at \(at)")
            }
            guard
                Self.crc32c(seed ^ UInt32(at), bytes[at + 4..<at + length]) == UInt32(number(at, 4))
            else {
                throw Failure(description: "a checksum at \(at)")
            }
            let kind = number(at + 8, 1)
            if kind == 1 {
                guard at == groupEnd else { throw Failure(description: "a group at \(at)") }
                groupEnd = at + number(at + 40, 8)
            }
            records.append(
                Record(
                    offset: at,
                    length: length,
                    kind: kind,
                    flags: number(at + 9, 1),
                    text: try describe(at, kind, length)
                )
            )
            at += length
        }
        guard at == groupEnd else { throw Failure(description: "the last group's length") }
        return records
    }

    private func describe(_ at: Int, _ kind: Int, _ length: Int) throws -> String {
        let count = number(at + 10, 2)
        let word = number(at + 12, 4)
        switch kind {
        case 1:
            let durable = number(at + 32, 8)
            return "group \(number(at + 16, 8)) epoch \(number(at + 24, 8)) "
                + "durable \(durable >> 32):\(durable & 0xFFFF_FFFF) bytes \(number(at + 40, 8))"
        case 2:
            let entries = (0..<count).map { index in
                let start = at + 28 + index * 12
                return "\(number(start, 4))/\(number(start + 4, 8))"
            }
            let headers = at + 28 + count * 12
            return "message at \(number(at + 16, 8)) to \(entries.joined(separator: " ")) "
                + "[\(text(headers, word))] [\(text(headers + word, number(at + 24, 4)))]"
        case 12:
            let runs = (0..<count).map { index in
                let start = at + 16 + index * 20
                return "\(number(start, 4)): \(number(start + 8, 8))+\(number(start + 4, 3)) "
                    + "reason \(number(start + 7, 1)) bytes \(number(start + 16, 4))"
            }
            return "settle \(runs.joined(separator: ", "))"
        case 5:
            return "queue \(word) next \(number(at + 16, 8)) "
                + text(at + 32, number(at + 24, 4))
        case 8: return try footer(at, word, length)
        case 9: return "unit end"
        default: throw Failure(description: "kind \(kind) at \(at)")
        }
    }

    private func footer(_ at: Int, _ lines: Int, _ length: Int) throws -> String {
        guard number(at + length - 8, 8) == at else {
            throw Failure(description: "the footer's own offset")
        }
        var text = "footer"
        for line in 0..<lines {
            let start = at + 24 + line * 32
            var position = at + number(start + 24, 4)
            let end = position + number(start + 28, 4)
            var offsets: [Int] = []
            var last = 0
            while position < end {
                var value = 0
                var shift = 0
                repeat {
                    value |= Int(bytes[position] & 0x7F) << shift
                    shift += 7
                    position += 1
                } while bytes[position - 1] & 0x80 != 0
                last += value * 8
                offsets.append(last)
            }
            guard offsets.count == number(start + 4, 4) else {
                throw Failure(description: "a posting list's count")
            }
            text +=
                "; queue \(number(start, 4)) from \(number(start + 8, 8)) "
                + "bytes \(number(start + 16, 8)) at "
                + offsets.map { "\($0)" }.joined(separator: " ")
        }
        return text
    }
}
