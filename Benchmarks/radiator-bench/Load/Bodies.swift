import Base

/// The part of a body that says when its message was sent: its first eight bytes.
enum SendTime {
    static let byteCount = 8

    static func body(byteCount: Int) -> [UInt8] {
        [UInt8](repeating: 0, count: Self.byteCount)
            + [UInt8](repeating: UInt8(ascii: "x"), count: byteCount - Self.byteCount)
    }

    static func write(_ time: UInt64, to bytes: UnsafeMutableRawBufferPointer, at offset: Int) {
        bytes.storeBytes(of: time.littleEndian, toByteOffset: offset, as: UInt64.self)
    }

    static func read(_ body: UnsafeRawBufferPointer) -> UInt64 {
        guard body.count >= byteCount else { return 0 }
        return UInt64(littleEndian: body.loadUnaligned(as: UInt64.self))
    }
}

/// Compressible bodies that are not all the same.
enum JSONBody {
    private static let words = [
        "leave", "at", "the", "back", "door", "please", "ring", "twice", "fragile", "cool", "dry",
        "keep", "upright", "call", "before", "delivery", "signature", "needed", "neighbour", "gift",
    ]

    /// An order of a shop, filled up with a note to exactly `byteCount` bytes.
    static func make(byteCount: Int, from generator: inout SeededGenerator) -> [UInt8] {
        var text =
            #"{"order":\#(Int.random(in: 1_000_000..<10_000_000, using: &generator)),"#
            + #""customer":"\#(String(generator.next(), radix: 16))","#
            + #""placed_at":\#(Int.random(in: 1_700_000_000..<1_800_000_000, using: &generator)),"#
            + #""currency":"EUR","items":["#
        var separator = ""
        while text.utf8.count < byteCount - 200 {
            text += separator + item(from: &generator)
            separator = ","
        }
        text += #"],"note":""#
        while text.utf8.count < byteCount - 2 {
            text += words[Int.random(in: 0..<words.count, using: &generator)] + " "
        }
        return Array(text.utf8.prefix(byteCount - 2)) + Array(#""}"#.utf8)
    }

    private static func item(from generator: inout SeededGenerator) -> String {
        let article = Int.random(in: 10_000..<100_000, using: &generator)
        let cents = Int.random(in: 100..<100_000, using: &generator)
        let quantity = Int.random(in: 1..<10, using: &generator)
        return #"{"article":"A-\#(article)","quantity":\#(quantity),"cents":\#(cents),"#
            + #""gift":\#(generator.oneIn(5))}"#
    }
}
