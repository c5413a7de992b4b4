import CCrypt
import Glibc

/// Salted, slow hashes of passcodes: yescrypt, as the system's `crypt` library has it.
package enum PasscodeHash {
    /// What every hash begins with: yescrypt, 4096 blocks of 4 KiB, so 16 MiB and about 100 ms.
    ///
    /// One cost for all, so that a login takes as long for one user as for another, or for none.
    private static let prefix = "$y$j9T$"
    private static let cost: UInt = 5
    /// 1 MiB and 2 ms: for what is compared in memory only.
    private static let quickCost: UInt = 1
    private static let digestLength = 43
    private static let saltLengthMax = 86

    /// Shorter ones are guessed too easily, longer ones the library does not hash.
    package static let passcodeBytes = 8...Int(radiator_crypt_passcode_max())

    /// A passcode without what makes it longer than any can be; it stays too long.
    static func cut(_ passcode: [UInt8]) -> [UInt8] {
        passcode.count <= passcodeBytes.upperBound
            ? passcode : Array(passcode.prefix(passcodeBytes.upperBound + 1))
    }

    /// What is wrong with a new passcode, or nil.
    package static func problem(_ passcode: [UInt8]) -> String? {
        let (least, most) = (passcodeBytes.lowerBound, passcodeBytes.upperBound)
        guard passcodeBytes.contains(passcode.count) else {
            return "a passcode has \(least) to \(most) bytes"
        }
        guard let text = String(validating: passcode, as: UTF8.self) else {
            return "a passcode is UTF-8 text"
        }
        guard !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
        else { return "a passcode has no control characters" }
        // Before CONNECT nobody knows whether spaces around a header's value are part of it.
        guard text.first != " ", text.last != " " else {
            return "a passcode neither begins nor ends with a space"
        }
        return nil
    }

    /// Hashes a new passcode with a salt of its own.
    ///
    /// Takes about 100 ms. Throws the reason when the library cannot.
    package static func make(_ passcode: [UInt8]) throws(PasscodeHashError) -> String {
        let hash = try hash(passcode, by: setting(cost: cost))
        guard isSupported(hash) else {
            throw PasscodeHashError(text: "the system's crypt library made no yescrypt hash")
        }
        return hash
    }

    /// Whether a hash is one of those that `make` makes.
    package static func isSupported(_ hash: String) -> Bool {
        guard hash.hasPrefix(prefix) else { return false }
        let parts = hash.utf8.dropFirst(prefix.utf8.count)
            .split(separator: UInt8(ascii: "$"), omittingEmptySubsequences: false)
        guard parts.count == 2, (1...saltLengthMax).contains(parts[0].count),
            parts[1].count == digestLength
        else { return false }
        return parts.allSatisfy { $0.allSatisfy(isAllowed) }
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "/"):
            true
        default: false
        }
    }

    /// A hash that costs as much as any other and that no passcode has.
    static func decoy() throws(PasscodeHashError) -> String {
        try setting(cost: cost) + "$" + String(repeating: ".", count: digestLength)
    }

    /// A setting for hashes that are only ever kept in memory.
    static func quickSetting() throws(PasscodeHashError) -> String {
        try setting(cost: quickCost)
    }

    private static func setting(cost: UInt) throws(PasscodeHashError) -> String {
        try output { radiator_crypt_setting(cost, $0, $1) }
    }

    /// Hashes a passcode by a setting, or by a hash that was made with one.
    static func hash(_ passcode: [UInt8], by setting: String) throws(PasscodeHashError) -> String {
        try output { out, size in
            var text = passcode.map { CChar(bitPattern: $0) }
            text.append(0)
            let result = radiator_crypt_hash(text, setting, out, size)
            text.withUnsafeMutableBytes { bytes in
                if let start = bytes.baseAddress { explicit_bzero(start, bytes.count) }
            }
            return result
        }
    }

    private static func output(
        _ body: (UnsafeMutablePointer<CChar>?, Int) -> Int32
    ) throws(PasscodeHashError) -> String {
        var out = [CChar](repeating: 0, count: radiator_crypt_output_size())
        let size = out.count
        let result = out.withUnsafeMutableBufferPointer { body($0.baseAddress, size) }
        guard result == 0 else {
            throw PasscodeHashError(
                text: "the system's crypt library failed: \(String(cString: strerror(result)))"
            )
        }
        let bytes = out.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Compares in a time that does not depend on where they differ.
    static func areEqual(_ left: String, _ right: String) -> Bool {
        let (left, right) = (Array(left.utf8), Array(right.utf8))
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}

/// Why nothing could be hashed; never with the passcode.
package struct PasscodeHashError: Error, Equatable, Sendable, CustomStringConvertible {
    package let text: String
    package var description: String { text }
}
