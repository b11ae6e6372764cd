//! Models of other libraries, and generated ones, against what onnxruntime answered.
