/// A message's stored headers (`docs/format.md`, "Header block"): lines of `name:value`, with escapes.
enum HeaderBlock {
    typealias Pair = (name: [UInt8], value: [UInt8])

    /// The headers in their order, without escapes.
    static func pairs(_ block: [UInt8]) -> [Pair] {
        var pairs: [Pair] = []
        for line in block.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: true) {
            let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
            pairs.append((unescaped(line[..<colon]), unescaped(line[colon...].dropFirst())))
        }
        return pairs
    }

    /// The block that `pairs` reads.
    static func block(_ pairs: [Pair]) -> [UInt8] {
        var block: [UInt8] = []
        for pair in pairs {
            appendEscaped(pair.name, to: &block)
            block.append(UInt8(ascii: ":"))
            appendEscaped(pair.value, to: &block)
            block.append(UInt8(ascii: "\n"))
        }
        return block
    }

    private static func unescaped(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        guard bytes.contains(UInt8(ascii: "\\")) else { return Array(bytes) }
        var plain: [UInt8] = []
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            guard byte == UInt8(ascii: "\\"), index < bytes.endIndex else {
                plain.append(byte)
                continue
            }
            switch bytes[index] {
            case UInt8(ascii: "n"): plain.append(UInt8(ascii: "\n"))
            case UInt8(ascii: "r"): plain.append(UInt8(ascii: "\r"))
            case UInt8(ascii: "c"): plain.append(UInt8(ascii: ":"))
            case let other: plain.append(other)
            }
            index += 1
        }
        return plain
    }

    private static func appendEscaped(_ bytes: [UInt8], to block: inout [UInt8]) {
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\\"): block += "\\\\".utf8
            case UInt8(ascii: "\n"): block += "\\n".utf8
            case UInt8(ascii: "\r"): block += "\\r".utf8
            case UInt8(ascii: ":"): block += "\\c".utf8
            default: block.append(byte)
            }
        }
    }
}
