import FlotillaWire
import NIOCore

/// The identity file of a data directory.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 8 | `FLOTNODE` in the data directory, `FLOTWNOD` in the directory of the write-ahead log |
/// | 8 | 2 | major version |
/// | 10 | 2 | minor version |
/// | 12 | 4 | length of what follows, without the checksum |
/// | 16 | 16 | NodeID |
/// | 32 | 8 | incarnation; 0 in the directory of the write-ahead log |
/// | 40 | 2 + n | node name: its length and its UTF-8 |
/// | … | 4 | CRC32C of everything before |
struct NodeIdentity: Equatable {
    enum Place: UInt64 {
        case data = 0x4544_4f4e_544f_4c46
        case writeAheadLog = 0x444f_4e57_544f_4c46

        /// The file's name.
        var fileName: String { self == .data ? "node" : "owner" }
    }

    static let major: UInt16 = 1
    static let minor: UInt16 = 0
    static let byteCountMax = 4_096

    var nodeID: NodeID
    var incarnation: Incarnation
    var name: NodeName

    /// The file's contents.
    func encoded(for place: Place) -> ByteBuffer {
        var body = ByteBuffer()
        body.writeIdentifier(nodeID)
        body.writeLittle(incarnation.rawValue)
        body.writeText(name.description)
        var buffer = ByteBuffer()
        buffer.writeLittle(place.rawValue)
        buffer.writeLittle(Self.major)
        buffer.writeLittle(Self.minor)
        buffer.writeBlock(body)
        buffer.writeLittle(buffer.withUnsafeReadableBytes { Checksum.crc32c($0) })
        return buffer
    }

    /// Reads the contents of a file, which is named in errors.
    init(_ bytes: UnsafeRawBufferPointer, place: Place, path: String) throws(StorageError) {
        func damaged(_ reason: String, at offset: Int) -> StorageError {
            StorageError(
                .corrupt,
                "\(path) is damaged at offset \(offset): \(reason). It says which node the directory belongs to; put "
                    + "back a good copy of it, or start the node anew with an empty directory",
                damages: [Damage(file: path, offset: UInt64(offset), kind: .fileHeader)])
        }
        guard bytes.count >= 20 else { throw damaged("it has only \(bytes.count) bytes", at: bytes.count) }
        guard bytes.little(UInt64.self, at: 0) == place.rawValue else { throw damaged("wrong magic", at: 0) }
        let length = Int(bytes.little(UInt32.self, at: 12))
        guard bytes.count == 16 + length + 4 else { throw damaged("its length does not fit", at: 12) }
        guard
            Checksum.crc32c(UnsafeRawBufferPointer(rebasing: bytes[..<(16 + length)]))
                == bytes.little(UInt32.self, at: 16 + length)
        else { throw damaged("its checksum does not match", at: 16 + length) }
        let major = bytes.little(UInt16.self, at: 8)
        guard major == Self.major else {
            throw StorageError(.version, "\(path) has format \(major), this program reads \(Self.major) only")
        }
        var reader = WireReader(ByteBuffer(bytes: bytes[16..<16 + length]))
        do throws(WireError) {
            nodeID = try reader.identifier()
            incarnation = Incarnation(try reader.integer())
            name = try reader.nodeName()
        } catch {
            throw damaged(error.message, at: 16)
        }
    }

    init(nodeID: NodeID, incarnation: Incarnation, name: NodeName) {
        self.nodeID = nodeID
        self.incarnation = incarnation
        self.name = name
    }
}

extension NodeIdentity {
    /// Reads the identity file of a directory; `nil` when there is none.
    ///
    /// - Throws: what the file system says; `corrupt` and `version` for a file that can't be read.
    static func read(
        _ place: Place, in directory: String, files: AsyncFiles
    ) async throws(StorageError) -> NodeIdentity? {
        let path = "\(directory)/\(place.fileName)"
        let memory = AlignedMemory(capacity: byteCountMax)
        let count = try await asStorageError { () async throws(FileSystemError) -> Int? in
            guard try await files.size(path) != nil else { return nil }
            return try await files.with(path) { (file) async throws(FileSystemError) in
                try await files.read(file, at: 0, count: byteCountMax, into: memory)
            }
        }
        guard let count else { return nil }
        return try NodeIdentity(UnsafeRawBufferPointer(rebasing: memory.bytes[..<count]), place: place, path: path)
    }
}
