//! ONNX (opset 17, <https://onnx.ai/onnx/operators>; field numbers: `onnx.proto3`). Input `image`, N x 3 x crop x crop, RGB
//! of 0 to 255; outputs `probabilities` and the features that the last layer reads, under the name of the layer that
//! made them (`fc7`). Both towers' maps lie side by side.

use crate::export::{Model, Sink, put, refused};
use crate::protobuf::Message;
use crate::side_by_side::{Product, halves, product};
use ilsvrc_diagnostics::Result;
use ilsvrc_network::{Layer, LayerShape, Net, Reads, Window};

const OPSET: u64 = 17;
/// The version of the file format that came with it.
const IR_VERSION: u64 = 8;
const FLOAT: u64 = 1;
const INT64: u64 = 7;
/// Protobuf's readers take no more.
const LARGEST_FILE: usize = i32::MAX as usize;

/// What a node is told.
enum Attribute {
    Int(usize),
    Ints(Vec<usize>),
    Float(f32),
}
use Attribute::{Float, Int, Ints};

/// A tensor that is part of the file.
struct Tensor {
    name: String,
    dims: Vec<usize>,
    content: Content,
}

enum Content {
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    /// Tensors of the model's file whose values follow each other.
    Parameters(Vec<String>),
}

/// The graph so far.
struct Graph<'a> {
    net: &'a Net,
    nodes: Message,
    tensors: Vec<Tensor>,
    /// What the last node made.
    value: String,
    values: usize,
}

/// Writes the model. One of its tensors at a time is in memory.
///
/// # Errors
/// `EXPORT_UNSUPPORTED` for locally connected layers and where the file would be larger than 2 GB; those of the model's file and of `sink`.
pub fn write_onnx(model: &Model, sink: Sink) -> Result<()> {
    model.expect_shared_weights()?;
    let graph = Graph::of(model)?;
    let heads: Vec<Message> = graph.tensors.iter().map(Tensor::head).collect();
    let tensors: usize =
        graph.tensors.iter().zip(&heads).map(|(tensor, head)| head.0.len() + tensor.data()).sum();
    let length = graph.nodes.0.len() + tensors;
    let start = start(model, length);
    if start.0.len() + length > LARGEST_FILE {
        let size = (start.0.len() + length) as f64 / 1e9;
        return Err(refused(format!("{} would be an ONNX file of {size:.1} GB", model.net.name))
            .info("readers of Protocol Buffers take files of at most 2 GB"));
    }
    // The fields of a message may come in any order: the large ones are last.
    sink(&start.0)?;
    sink(&graph.nodes.0)?;
    for (tensor, head) in graph.tensors.iter().zip(&heads) {
        sink(&head.0)?;
        match &tensor.content {
            Content::Floats(values) => put(values, sink)?,
            Content::Ints(values) => {
                sink(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
            }
            Content::Parameters(names) => model.copy(names, 1.0, sink)?,
        }
    }
    Ok(())
}

/// All that stands before the graph, whose `length` is known.
fn start(model: &Model, length: usize) -> Message {
    let mut start = Message::default();
    start.number(1, IR_VERSION);
    start.text(2, "ilsvrc");
    start.text(3, env!("CARGO_PKG_VERSION"));
    start.message(8, |opset| {
        opset.text(1, "");
        opset.number(2, OPSET);
    });
    for (key, value) in model.strings() {
        start.message(14, |entry| {
            entry.text(1, key);
            entry.text(2, &value);
        });
    }
    start.begin(7, length);
    start
}

impl<'a> Graph<'a> {
    /// The whole graph; its tensors follow.
    fn of(model: &Model<'a>) -> Result<Self> {
        let net = model.net;
        let shapes = net.layer_shapes()?;
        let mut graph = Self::new(net, model.mean()?);
        let [hidden @ .., last] = &shapes[..] else { unreachable!("a valid net has layers") };
        for (index, shape) in hidden.iter().enumerate() {
            graph.layer(index, shape);
        }
        let features = net.layers[..hidden.len()].iter().rev().find_map(Layer::name).unwrap_or("features");
        let product = product(net, hidden.len(), last).expect("the last layer is dense");
        let width = product.row.iter().product();
        let classes = product.rows;
        graph.classify(features, &net.label(hidden.len()), product);
        graph.nodes.text(2, &net.name);
        value_info(&mut graph.nodes, 11, "image", &[3, net.crop, net.crop]);
        value_info(&mut graph.nodes, 12, "probabilities", &[classes]);
        value_info(&mut graph.nodes, 12, features, &[width]);
        Ok(graph)
    }

    /// The input, with its mean subtracted.
    fn new(net: &'a Net, mean: Vec<f32>) -> Self {
        let (nodes, value) = (Message::default(), "image".to_owned());
        let mut graph = Self { net, nodes, tensors: Vec::new(), value, values: 0 };
        let mean = Content::Floats(mean);
        graph.tensors.push(Tensor {
            name: "mean".into(),
            dims: vec![1, 3, net.crop, net.crop],
            content: mean,
        });
        graph.apply("Sub", "image minus mean", &["mean"], &[]);
        graph
    }

    fn layer(&mut self, index: usize, shape: &LayerShape) {
        let label = self.net.label(index);
        if let Some(product) = product(self.net, index, shape) {
            return self.product(&label, product, shape);
        }
        match self.net.layers[index] {
            Layer::Relu => self.apply("Relu", &label, &[], &[]),
            Layer::Tanh => self.apply("Tanh", &label, &[], &[]),
            Layer::Lrn { size, k, alpha, beta, reads } => {
                let halves = halves(self.net, index);
                let (side, maps) = (shape.input.side, shape.input.maps);
                let apart = halves > 1 && reads == Reads::Own;
                if apart {
                    // Each tower's maps become an image of their own: no value moves.
                    self.reshape(&label, &[maps, side, side]);
                }
                let attributes =
                    [("size", Int(size)), ("bias", Float(k)), ("alpha", Float(alpha)), ("beta", Float(beta))];
                self.apply("LRN", &label, &[], &attributes);
                if apart {
                    self.reshape(&label, &[halves * maps, side, side]);
                }
            }
            Layer::MapNorm { size, k, alpha, beta } => self.map_norm(&label, size, [alpha, k, beta]),
            Layer::MaxPool { .. } => self.pool("MaxPool", &label, shape, None),
            // Positions outside do not count.
            Layer::AvgPool { .. } => {
                self.pool("AveragePool", &label, shape, Some(("count_include_pad", Int(0))))
            }
            Layer::Dropout { rate } => self.with_scalar("Mul", &label, 1.0 - rate),
            Layer::Conv { .. } | Layer::Local { .. } | Layer::Dense { .. } => {
                unreachable!("they have weights")
            }
        }
    }

    /// A layer with weights: a product of matrices where it reads all maps or units at once, else a convolution.
    fn product(&mut self, label: &str, product: Product, shape: &LayerShape) {
        let groups = product.groups;
        let is_dense = shape.window.is_none();
        if is_dense && groups == 1 {
            self.flatten(label);
            return self.matrix(label, product);
        }
        // Units of towers that read their own: a convolution of one position.
        let side = shape.input.side;
        let window = shape.window.unwrap_or(Window { input: side, output: 1, size: side, stride: 1, pad: 0 });
        if !shape.input.spatial {
            self.reshape(label, &[groups * shape.in_maps, 1, 1]);
        }
        let dims = vec![product.rows, shape.in_maps, window.size, window.size];
        let [size, strides, pads] = windows(&window);
        self.with_weights("Conv", label, product, dims, &[size, strides, pads, ("group", Int(groups))]);
        if is_dense {
            self.flatten(label);
        }
    }

    fn matrix(&mut self, label: &str, product: Product) {
        let dims = vec![product.rows, product.row.iter().product()];
        self.with_weights("Gemm", label, product, dims, &[("transB", Int(1))]);
    }

    /// The last layer; what it reads and its probabilities are outputs.
    fn classify(&mut self, features: &str, label: &str, product: Product) {
        self.apply_as(features, "Flatten", &format!("{features} features"), &[], &[("axis", Int(1))]);
        self.matrix(label, product);
        self.apply_as("probabilities", "Softmax", "probabilities", &[], &[("axis", Int(1))]);
    }

    /// Windows hang over the right and bottom border: padding there that no maximum and no mean counts.
    fn pool(&mut self, op: &str, label: &str, shape: &LayerShape, more: Option<(&'static str, Attribute)>) {
        let window = shape.window.expect("pools have windows");
        let attributes: Vec<_> = windows(&window).into_iter().chain(more).collect();
        self.apply(op, label, &[], &attributes);
    }

    /// `x / (k + alpha * mean of x^2 over the window)^beta`; zeros outside count, so that the mean is the sum / size^2.
    fn map_norm(&mut self, label: &str, size: usize, [alpha, k, beta]: [f32; 3]) {
        let input = self.value.clone();
        self.apply("Mul", &format!("{label} squares"), &[&input], &[]);
        let (kernel, pads) = (Ints(vec![size; 2]), Ints(vec![size / 2; 4]));
        let attributes = [("kernel_shape", kernel), ("pads", pads), ("count_include_pad", Int(1))];
        self.apply("AveragePool", &format!("{label} means"), &[], &attributes);
        self.with_scalar("Mul", &format!("{label} alpha"), alpha);
        self.with_scalar("Add", &format!("{label} k"), k);
        self.with_scalar("Pow", &format!("{label} beta"), beta);
        let below = std::mem::replace(&mut self.value, input);
        self.apply("Div", label, &[&below], &[]);
    }

    fn flatten(&mut self, label: &str) {
        self.apply("Flatten", &format!("{label} flat"), &[], &[("axis", Int(1))]);
    }

    /// Any number of images of `dims`.
    fn reshape(&mut self, label: &str, dims: &[usize]) {
        let name = self.unique(&format!("{label} shape"));
        let sizes: Vec<i64> = [-1].into_iter().chain(dims.iter().map(|side| *side as i64)).collect();
        let (dims, content) = (vec![sizes.len()], Content::Ints(sizes));
        self.tensors.push(Tensor { name: name.clone(), dims, content });
        self.apply("Reshape", &name, &[&name], &[]);
    }

    fn with_scalar(&mut self, op: &str, label: &str, value: f32) {
        let name = self.unique(&format!("{label} constant"));
        let content = Content::Floats(vec![value]);
        self.tensors.push(Tensor { name: name.clone(), dims: Vec::new(), content });
        self.apply(op, label, &[&name], &[]);
    }

    /// A node with weights of `dims` and biases.
    fn with_weights(
        &mut self,
        op: &str,
        label: &str,
        product: Product,
        dims: Vec<usize>,
        attributes: &[(&str, Attribute)],
    ) {
        let names = ["weight", "bias"].map(|what| format!("{label}.{what}"));
        let biases = Content::Parameters(product.biases);
        self.tensors.push(Tensor {
            name: names[0].clone(),
            dims,
            content: Content::Parameters(product.weights),
        });
        self.tensors.push(Tensor { name: names[1].clone(), dims: vec![product.rows], content: biases });
        self.apply(op, label, &names.each_ref().map(String::as_str), attributes);
    }

    fn apply(&mut self, op: &str, name: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) {
        let output = self.unique(name);
        self.apply_as(&output, op, name, inputs, attributes);
    }

    /// A node that reads the current value, then `inputs`; what it makes is the current value.
    fn apply_as(
        &mut self,
        output: &str,
        op: &str,
        name: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) {
        let value = std::mem::replace(&mut self.value, output.to_owned());
        self.nodes.message(1, |node| {
            [value.as_str()].iter().chain(inputs).for_each(|input| node.text(1, input));
            node.text(2, output);
            node.text(3, name);
            node.text(4, op);
            attributes.iter().for_each(|(name, attribute)| node.message(5, |to| attribute.write(name, to)));
        });
    }

    /// Layers may share a label, values may not share a name.
    fn unique(&mut self, name: &str) -> String {
        self.values += 1;
        format!("{name} #{}", self.values)
    }
}

impl Attribute {
    fn write(&self, name: &str, to: &mut Message) {
        to.text(1, name);
        match self {
            Int(value) => {
                to.number(3, *value as u64);
                to.number(20, 2);
            }
            Ints(values) => {
                values.iter().for_each(|value| to.number(8, *value as u64));
                to.number(20, 7);
            }
            Float(value) => {
                to.float(2, *value);
                to.number(20, 1);
            }
        }
    }
}

impl Tensor {
    /// All of it but its values.
    fn head(&self) -> Message {
        let mut tensor = Message::default();
        self.dims.iter().for_each(|side| tensor.number(1, *side as u64));
        tensor.number(2, if matches!(self.content, Content::Ints(_)) { INT64 } else { FLOAT });
        tensor.text(8, &self.name);
        tensor.begin(9, self.data());
        let mut head = Message::default();
        head.begin(5, tensor.0.len() + self.data());
        head.0.append(&mut tensor.0);
        head
    }

    /// Bytes of its values.
    fn data(&self) -> usize {
        let size = if matches!(self.content, Content::Ints(_)) { 8 } else { 4 };
        size * self.dims.iter().product::<usize>()
    }
}

/// Kernel, steps, and the padding that makes as many windows as there are: as much at the right and bottom as the last one
/// needs.
fn windows(window: &Window) -> [(&'static str, Attribute); 3] {
    let Window { input, output, size, stride, pad } = *window;
    let after = ((output - 1) * stride + size).saturating_sub(input + pad);
    [
        ("kernel_shape", Ints(vec![size; 2])),
        ("strides", Ints(vec![stride; 2])),
        ("pads", Ints(vec![pad, pad, after, after])),
    ]
}

/// An input or output of the graph: any number of images of `dims`.
fn value_info(graph: &mut Message, field: u32, name: &str, dims: &[usize]) {
    graph.message(field, |info| {
        info.text(1, name);
        info.message(2, |kind| {
            kind.message(1, |tensor| {
                tensor.number(1, FLOAT);
                tensor.message(2, |shape| {
                    shape.message(1, |dim| dim.text(2, "N"));
                    dims.iter().for_each(|side| shape.message(1, |dim| dim.number(1, *side as u64)));
                });
            });
        });
    });
}
