"""The page in Chinese: each template by its English form, with the same fields."""

# ruff: noqa: E501, RUF001 - a line of Chinese is as long as it is, and has its own marks

CHINESE: dict[str, str] = {
    # -- a fit
    "of {n} items that it was not trained on are answered right; the 95 % interval goes from "
    "{low:.1f} to {high:.1f} %.": "是 {n} 个未参与训练的样本上的正确率；95% 区间为 {low:.1f} 至 {high:.1f}%。",
    "of {n} items that it was not trained on are answered right; the 95 % interval goes from "
    "{low:.1f} to {high:.1f} %. Not measured, for no such item was held out: {absent}.": (
        "是 {n} 个未参与训练的样本上的正确率；95% 区间为 {low:.1f} 至 {high:.1f}%。没有留出样本而未测量：{absent}。"
    ),
    "The probabilities that it states are off by {off:.1f} points on average.": (
        "它给出的概率平均偏差 {off:.1f} 个百分点。"
    ),
    "is macro-F1, the mean over labels of how well each is found, on {n} items that it was not "
    "trained on; the 95 % interval goes from {ends} %.": (
        "是宏平均 F1（各标签识别效果的平均值），基于 {n} 个未参与训练的样本；95% 区间为 {ends}%。"
    ),
    "Of {share} of them all labels are right.": "其中 {share} 的样本全部标签正确。",
    "is R² on {n} items that it was not trained on: 1 is without error, 0 is what the mean would "
    "do. Off by {off} on average.": (
        "是 {n} 个未参与训练的样本上的 R²：1 表示毫无误差，0 相当于总是回答平均值。平均误差 {off}。"
    ),
    "It states no intervals: too few items.": "样本太少，不给出区间。",
    "Its {stated} intervals hold the number of {held} of them.": "其 {stated} 区间包含了其中 {held} 的真值。",
    "Trained on {n} items in {time}.": "用 {n} 个样本训练，耗时 {time}。",
    "On new items like these expect {low:.1f} to {high:.1f} % right, against {share:.1f} % for "
    "{floor}.": "对类似的新样本，预计正确率为 {low:.1f} 至 {high:.1f}%；“{floor}”的正确率为 {share:.1f}%。",
    "Do not use it yet: it is not shown to be better than {floor} ({share:.1f} %). More labels, "
    "another backbone or a larger held-out set may show it.": (
        "先不要使用：尚不能证明它优于“{floor}”（{share:.1f}%）。增加标注、更换骨干网络或扩大留出集可能会有结论。"
    ),
    "this model": "本模型",
    "always the largest class": "总是回答最大的类别",
    "Against what needs no learning": "与无需学习的做法相比",
    "By class, worst first": "各类别（由差到好）",
    "By class": "各类别",
    "By label": "各标签",
    "Figures": "指标",
    "figure": "指标",
    "value": "数值",
    "label": "标签",
    "average precision": "平均精度",
    "Not measured, for no item is held out: {n} classes.": "未测量（没有留出样本）的类别：{n} 个。",
    "What is taken for what": "混淆情况",
    "Confusion": "混淆矩阵",
    "Rows: what an item is. Columns: what it was taken for.": "行：真实类别；列：被认作的类别。",
    "Only the {n} of {of} classes that are confused most.": "仅显示 {of} 个类别中最易混淆的 {n} 个。",
    "A number that is a link shows its items.": "点击带链接的数字可查看相应样本。",
    "{a} taken for {b}": "{a} 被认作 {b}",
    "back to the table": "回到表格",
    "The other pairs": "其余混淆",
    "Most confident mistakes": "最自信的错误",
    "Most surprising items": "最意外的样本",
    "Farthest off": "偏差最大的样本",
    "taken for {predicted} ({sure}), is {label}": "被认作 {predicted}（{sure}），实为 {label}",
    "answered {predicted}, is {label}": "回答 {predicted}，实为 {label}",
    "no label": "无标签",
    "without labels": "无标签",
    "Do its probabilities hold?": "概率可信吗？",
    "stated probability, %": "给出的概率，%",
    "answered right, %": "正确率，%",
    "Stated probabilities against the share that is right": "给出的概率与实际正确率",
    "On the dashed line a stated 80 % is right in 80 % of the cases. Bars: how many items.": (
        "虚线上，给出 80% 时恰有 80% 正确。柱：样本数。"
    ),
    "Where items lie": "样本分布图",
    "principal components": "主成分",
    "Principal components of the features": "特征的主成分",
    "t-SNE of the features": "特征的 t-SNE",
    "{n} held-out items. Crosses are mistakes.": "{n} 个留出样本，叉号为错误。",
    "In colour: the classes with the most mistakes.": "彩色：错误最多的类别。",
    "Two principal components hold {share:.0f} % of the variance.": "两个主成分占方差的 {share:.0f}%。",
    "How it learned": "学习过程",
    "training": "训练",
    "inner part": "内部验证部分",
    "epoch": "轮次",
    "loss": "损失",
    "stage": "阶段",
    "frozen below block": "冻结到第几块",
    "time": "时间",
    "inner accuracy": "内部正确率",
    "inner macro F1": "内部宏平均 F1",
    "inner R²": "内部 R²",
    "Epochs": "各轮次",
    "{n} epochs": "{n} 轮",
    "Chosen: the epoch with the least loss on an inner part of the training items.": (
        "选用：在训练样本的内部验证部分上损失最小的一轮。"
    ),
    "{n} stages, one after the other.": "先后 {n} 个阶段。",
    "First filters": "第一层滤波器",
    "before": "训练前",
    "after": "训练后",
    "Changed by {change:.1f} %.": "变化 {change:.1f}%。",
    "How to use it": "如何使用",
    "Where it lies: the folder that this page is in.": "模型就在本页所在的文件夹中。",
    "Notes": "备注",
    "one sentence": "一句话",
    "new-pictures": "新图片",
    "new-items": "新样本",
    # -- a comparison
    "comparison": "比较",
    "{n} runs, {draws} draws of the labels.": "共 {n} 次运行，标注抽取 {draws} 次。",
    "Measured on {n} held-out items.": "在 {n} 个留出样本上测量。",
    "{n} runs were left out: the budget was spent": "预算用完，{n} 次运行未做",
    "All side by side": "逐项比较",
    "strategy": "策略",
    "backbone": "骨干网络",
    "shots": "每类标注数",
    "all": "全部",
    "a fit": "每次耗时",
    "against the best": "与最佳相比",
    "best": "最佳",
    "lower": "较低",
    "not distinguishable": "无法区分",
    "only one draw": "只有一次抽取",
    "stopped early": "提前停止",
    "Dotted: what needs no transfer.": "点线：无需迁移的做法。",
    "constant answer": "总是同一回答",
    "class names": "类别名称",
    "{wanted} is expected of the fewest labels that were measured already, {fewest} in all": (
        "在已测量的最少标注数（共 {fewest} 个）下，预计已可达到 {wanted}"
    ),
    "Hollow, at 0: the names of the classes alone.": "空心、0 处：仅凭类别名称。",
    "it is not clearly above the names of the classes alone, which need no label ({share} on "
    "{backbone})": "与仅凭类别名称、无需任何标注的做法（{backbone} 上 {share}）没有明显差距",
    "tf-idf": "tf-idf",
    "tf-idf + linear head": "tf-idf 加线性头",
    "Take {strategy} on {backbone}: expect {score} {share} (95 %: {span}) at {time} a fit": (
        "建议采用 {strategy}（{backbone}）：预计{score} {share}（95%：{span}），每次 {time}"
    ),
    "{way} on {other} costs {time} and reaches {share}": "{way}（{other}）只需 {time}，可达 {share}",
    "it is not clearly above what needs no backbone: {names}": "但并未明显优于无需骨干网络的做法：{names}",
    "to tell the next best apart it would take about {needed} held-out items instead of {mine}": (
        "要与次优区分，留出样本约需 {needed} 个（现有 {mine} 个）"
    ),
    "{labels} labels should bring {share} (80 %: {span})": "标注增至 {labels} 个，预计可达 {share}（80%：{span}）",
    "strategies that train were left out, for nothing could be ahead by more than the band; a "
    "bigger held-out set would make room for them": (
        "未尝试需要训练的策略，因为领先幅度不可能超出误差带；扩大留出集才有意义"
    ),
    "Measure more numbers of labels (--shots 8,32,128) to see what more would bring.": (
        "请测量更多的标注数量（--shots 8,32,128），以了解增加标注的效果。"
    ),
    "{wanted} is out of sight: ten times these labels are not expected to bring it": (
        "{wanted} 遥不可及：即使标注增至十倍也难以达到"
    ),
    "{wanted} needs about {labels} labels in all (80 %: {low} to {most})": (
        "要达到 {wanted}，共约需 {labels} 个标注（80%：{low} 至 {most}）"
    ),
    "more than can be said": "难以估计",
    "How many labels": "需要多少标注",
    "Score over the number of labels": "得分随标注数的变化",
    "Bands: 95 % intervals.": "色带：95% 区间。",
    "Dashed and hollow: the forecast, with its 80 % interval.": "虚线空心：预测及其 80% 区间。",
    "labels a class": "每类标注数",
    "labels in all": "标注总数",
    "How good the forecast is": "预测的可靠程度",
    "The same forecast, made from the smaller sizes alone.": "仅用较小规模所做的同样预测。",
    "forecast": "预测",
    "measured": "实测",
    "inside": "在区间内",
    "yes": "是",
    "no": "否",
    "What it costs": "代价",
    "Score against the time of a fit": "得分与每次耗时",
    "seconds a fit": "每次耗时（秒）",
    "With all labels.": "使用全部标注。",
    "With {shots} labels a class.": "每类标注数：{shots}。",
    "How to go on": "下一步",
    # -- both
    " to ": "–",
    "{n} items": "{n} 项",
    "{n} more": "另有 {n} 项",
    "Before you believe it": "采信之前",
    "The data": "数据",
    "{n} to train, {m} held out": "训练 {n} 个，留出 {m} 个",
    "labelled {label}, looks like {likely}": "标注为 {label}，看起来像 {likely}",
    "like {like}": "与 {like} 相似",
    "class": "类别",
    "items": "样本数",
    "recall": "召回率",
    "precision": "精确率",
    "accuracy": "正确率",
    "macro F1": "宏平均 F1",
    "micro F1": "微平均 F1",
    "Not used": "未使用",
    "How it was made": "生成方式",
    "Seed {seed}, data {data}.": "随机种子 {seed}，数据指纹 {data}。",
    "Seed {seed}.": "随机种子 {seed}。",
    "Features {features}, training {train}.": "特征 {features}，训练 {train}。",
    "{time} in all.": "共计 {time}。",
    "{name} learned from {known}.": "{name} 学习自 {known}。",
    "unknown data": "未知数据",
    "nothing": "零（随机权重）",
    "what its model card says": "其模型卡所述数据",
    "what its model card in timm says": "其 timm 模型卡所述数据",
    "printed glyphs (fonts shipped with matplotlib)": "印刷字形（matplotlib 自带字体）",
    "Licence: {licence}.": "许可证：{licence}。",
    "search": "搜索",
    "copy": "复制",
    "copied": "已复制",
    # -- checks
    "Held-out set too small": "留出集太小",
    "Classes that were not measured": "未测量的类别",
    "Classes with few items": "样本很少的类别",
    "Held-out items that were trained on, or look like it": "留出样本参与过训练，或与训练样本相似",
    "Labels that may be the same": "可能相同的标签",
    "Likely label errors": "可能的标注错误",
    "Training and held-out items differ": "训练样本与留出样本有差异",
    "A shortcut explains a class": "某个类别可由捷径区分",
    "Learned by heart": "死记硬背（过拟合）",
    "Probabilities that promise too much or too little": "概率偏高或偏低",
    "The backbone may not suit these items": "骨干网络可能不适合这些样本",
    "Texts that were cut off": "被截断的文本",
    "Very uneven classes": "类别极不均衡",
    "The same content with different labels": "内容相同而标签不同",
    "Too few draws to show their luck": "抽取次数太少，看不出抽样的运气",
    "draws {draws}: that does not show how far a score moves from one choice of the labels to the "
    "next. The intervals take for it what is usual, {points:.1f} points with {shots} labels a "
    "class; where it is more, they and the verdicts are too sure. --draws 5 measures it.": (
        "只抽取了 {draws} 次：看不出换一批标注样本时得分会变动多少。区间采用了通常的值（每类 {shots} 个标注时为 "
        "{points:.1f} 个百分点）；若实际变动更大，区间与结论就过于肯定。--draws 5 可实测。"
    ),
    "{n} held-out items tell the score to within {half:.1f} points only: what lies closer than that "
    "cannot be told apart. For {widest:.0f} points about {needed} are needed.": (
        "{n} 个留出样本只能把得分确定到 ±{half:.1f} 个百分点；更小的差别无法分辨。要达到 ±{widest:.0f} 个百分点，"
        "约需 {needed} 个。"
    ),
    "{n} held-out items tell {score} to within {half:.2f} only: what lies closer than that cannot "
    "be told apart. For {widest:.2f} about {needed} are needed.": (
        "{n} 个留出样本只能把 {score} 确定到 ±{half:.2f}；更小的差别无法分辨。要达到 ±{widest:.2f}，约需 {needed} 个。"
    ),
    "{score} is {trained} on the {n} training items, but {value} on the held-out ones ({high} at "
    "most): much is learned by heart. More labels help most; else a strategy that trains less, or "
    "stronger --augment.": (
        "{score} 在 {n} 个训练样本上为 {trained}，而在留出样本上仅为 {value}（至多 {high}）：多为死记硬背。"
        "增加标注最有效；否则换训练更少的策略，或加强 --augment。"
    ),
    "{n} of {of} classes have no held-out item ({shown}): nothing is known of how well they are "
    "answered, and the figures say nothing of them.": (
        "{of} 个类别中有 {n} 个没有留出样本（{shown}）：其效果未知，各项指标也不反映它们。"
    ),
    "{n} of {of} classes have fewer than {few} items ({shown}): what is learned and measured of "
    "them is mostly luck. Add items, or join classes.": (
        "{of} 个类别中有 {n} 个少于 {few} 个样本（{shown}）：其学习与测量多凭运气。请增加样本或合并类别。"
    ),
    "'{largest}' has {times:.0f} times the items of '{smallest}': who always answers '{largest}' "
    "is right in {share:.1f} % of the cases. Look at the recall of each class and not at the "
    "accuracy; --class-weights weighs rare classes more.": (
        "“{largest}”的样本数是“{smallest}”的 {times:.0f} 倍：总回答“{largest}”就有 {share:.1f}% 正确。"
        "请看各类别的召回率而非正确率；--class-weights 可加大稀有类别的权重。"
    ),
    "labels that may be the same: {shown}. They are learned as different classes; if they are one, "
    "write them alike in the data.": (
        "可能相同的标签：{shown}。它们被当作不同类别学习；若本为一类，请在数据中统一写法。"
    ),
    "{n} of {of} held-out items look or read like a training item, and {exact} more were also in "
    "the training part, from where they were taken out. Figures on such items are too good; keep "
    "what belongs together (one scene, one patient, one text) in one part.": (
        "{of} 个留出样本中有 {n} 个与训练样本相似；另有 {exact} 个同时出现在训练部分，已从中剔除。"
        "在这类样本上的指标偏高；属于同一来源（同一场景、病人或文本）的样本应放在同一部分。"
    ),
    "{n} contents appear with different labels. Nobody knows which is right, so none of these "
    "{copies} items is used.": "有 {n} 份内容带有不同标签，无从判断对错，因此这 {copies} 个样本均未使用。",
    "about {n} of {of} training items seem to have a wrong label: models that have not seen them "
    "are sure of another one. Look at those first; a wrong label costs more than a missing one.": (
        "{of} 个训练样本中约有 {n} 个标注可能有误：未见过它们的模型确信是另一类。请先查看这些样本；"
        "错误标注比缺少标注代价更大。"
    ),
    "a classifier tells training from held-out items of the same class in {told:.0f} % of the pairs "
    "(50 % is chance): they come from different places. The figures are about the held-out ones; "
    "see to it that those are like what will be asked.": (
        "分类器能在 {told:.0f}% 的配对中区分同类的训练样本与留出样本（随机为 50%）：二者来源不同。"
        "指标针对留出样本，请确保它们与实际使用时的样本相似。"
    ),
    "some classes can be told by {what} alone: {shown}. If that is chance of how the data were "
    "gathered, the model learns it in place of what you mean; gather the classes alike.": (
        "仅凭{what}就能区分某些类别：{shown}。若这只是采集数据时的偶然，模型学到的就是它而非你想要的；"
        "请以相同方式采集各类别。"
    ),
    "size": "尺寸",
    "border colour": "边框颜色",
    "brightness": "亮度",
    "text length": "文本长度",
    "{trained:.1f} % of the {n} training items are answered right, but {value:.1f} % of the "
    "held-out ones ({high:.1f} % at most): much is learned by heart. More labels help most; else a "
    "strategy that trains less, or stronger --augment.": (
        "{n} 个训练样本的正确率为 {trained:.1f}%，而留出样本仅为 {value:.1f}%（至多 {high:.1f}%）：多为死记硬背。"
        "增加标注最有效；否则换训练更少的策略，或加强 --augment。"
    ),
    "after epoch {best} of {of} the loss on items that do not train rose again by {rise:.0f} % "
    "while the training loss went on falling: the rest was learned by heart. Epoch {best} was kept; "
    "fewer --epochs save time.": (
        "共 {of} 轮，第 {best} 轮之后，未参与训练部分的损失回升 {rise:.0f}%，而训练损失继续下降：之后只是死记硬背。"
        "已保留第 {best} 轮；减少 --epochs 可省时间。"
    ),
    "the model states {stated:.1f} % on average and is right in {right:.1f} % ({low:.1f} to "
    "{high:.1f}): it promises too much. Do not decide by its probabilities alone.": (
        "模型给出的概率平均为 {stated:.1f}%，实际正确率为 {right:.1f}%（{low:.1f} 至 {high:.1f}）：偏于自信。"
        "不要只凭其概率作决定。"
    ),
    "the model states {stated:.1f} % on average and is right in {right:.1f} % ({low:.1f} to "
    "{high:.1f}): it promises too little. A threshold on its probabilities refuses too much.": (
        "模型给出的概率平均为 {stated:.1f}%，实际正确率为 {right:.1f}%（{low:.1f} 至 {high:.1f}）：偏于保守。"
        "按其概率设阈值会拒绝过多。"
    ),
    "{name} does not know this script or language: {unknown:.0f} % of the pieces are unknown to it "
    "and {single:.0f} % are single characters. Take an encoder that learned from such texts, a "
    "multilingual one for example.": (
        "{name} 不认识这种文字或语言：{unknown:.0f}% 的词元未知，{single:.0f}% 为单个字符。"
        "请换用学过此类文本的编码器，例如多语言编码器。"
    ),
    "{share:.0f} % of the texts are longer than the {most} tokens that {name} reads, and {lost:.0f} "
    "% of all tokens are not read. --max-length reads more where the encoder can.": (
        "{share:.0f}% 的文本超过 {name} 所读的 {most} 个词元，全部词元中有 {lost:.0f}% 未被读取。"
        "若编码器允许，--max-length 可读得更多。"
    ),
    "the pictures are {side:.0f} pixels wide and {name} reads {size}: they are blown up, which "
    "costs time and brings nothing. --image-size {better} reads them faster.": (
        "图片宽 {side:.0f} 像素，而 {name} 读取 {size} 像素：放大只费时间而无益处。--image-size {better} 更快。"
    ),
    "the pictures look unlike what {name} learned from: normalised, their mean is {centre:.1f} "
    "(about 0 is usual) and their spread {spread:.1f} (about 1). Drawings, scans and inverted "
    "pictures do; train more of the network, or take one that learned from such.": (
        "这些图片与 {name} 学过的不同：归一化后均值为 {centre:.1f}（通常约为 0），离散度为 {spread:.1f}（通常约为 1）。"
        "绘画、扫描件和反色图片常如此；请训练网络的更多部分，或换用学过此类图片的网络。"
    ),
    # -- what was said on the way
    "backbone {backbone}, for {why}": "骨干网络 {backbone}，理由：{why}",
    "small grey pictures ({said})": "灰度小图（{said}）",
    "photos ({said}): the first of the catalogue that is here": "照片（{said}）：目录中第一个本机已有的网络",
    "photos ({said}): the first of the catalogue, to be fetched": "照片（{said}）：目录中的第一个，尚待下载",
    "photos ({said}): the first of the catalogue, fetched": "照片（{said}）：目录中的第一个，已下载",
    "texts in Latin script": "拉丁字母文本",
    "texts, {share:.0f} % of whose letters are of other scripts than Latin": (
        "文本中 {share:.0f}% 的字母属于拉丁字母以外的文字"
    ),
    "{said}: a multilingual encoder that is here": "{said}：采用本机已有的多语言编码器",
    "{said}: a multilingual encoder, to be fetched": "{said}：采用多语言编码器，尚待下载",
    "{said}: a multilingual encoder, fetched": "{said}：采用多语言编码器，已下载",
    "{said}; no multilingual encoder is here, nor can one be fetched. Take one: {command}": (
        "{said}；本机没有多语言编码器，也无法下载。请获取一个：{command}"
    ),
    "'{backbone}' hardly reads these texts: {unknown:.0f} % of their pieces are unknown to it and "
    "{single:.0f} % are single characters; take an encoder of their language, such as "
    "--backbone {other}": (
        "“{backbone}”几乎读不懂这些文本：{unknown:.0f}% 的词元未知，{single:.0f}% 为单个字符；"
        "请换用相应语言的编码器，例如 --backbone {other}"
    ),
    "glyphs learned from small printed characters; for photos name a backbone that learned from "
    "photos, such as torchvision:mobilenet_v2": (
        "glyphs 学自印刷小字符；照片请指定学自照片的骨干网络，例如 torchvision:mobilenet_v2"
    ),
    "{backbone}: first convolution adapted from {learned} to {wanted} channels": (
        "{backbone}：首个卷积由 {learned} 通道改为 {wanted} 通道"
    ),
    "{backbone}: {size} words, {share:.1f} % of all tokens": "{backbone}：{size} 个词，占全部词元的 {share:.1f}%",
    "{known}; {share:.1f} % of all tokens have a word vector, {n} words have none": (
        "{known}；{share:.1f}% 的词元有词向量，{n} 个词没有"
    ),
    "{file}: vectors for {n} of {of} word pieces, {share:.1f} % of all tokens": (
        "{file}：{of} 个词片中 {n} 个有向量，占全部词元的 {share:.1f}%"
    ),
    "activations were kept as 16-bit floats: training has seen them rounded (--cache-half)": (
        "激活值以 16 位浮点保存：训练所见的是舍入后的值（--cache-half）"
    ),
    "nothing is blended: no inner part could be set aside to choose by": "未作混合：留不出用于选择的内部样本",
    "blend: {share:.0%} of the way from the weights before to those after": (
        "混合：取训练前权重到训练后权重之间 {share:.0%} 处"
    ),
    "too few items were set aside to state intervals around the numbers": "内部样本太少，无法给出数值的区间",
    "too few items were set aside to choose thresholds: all labels have one half": (
        "内部样本太少，无法选择阈值：所有标签均用一半"
    ),
    "fewer than {n} examples to train on: {names}": "训练样本少于 {n} 个：{names}",
    "measured on {n:,} of {of:,} held-out items, drawn at random": "在随机抽取的 {n:,} 个留出样本上测量（共 {of:,} 个）",
    "trained once more on all {n} items; the figures are those of the model that learned from {of} "
    "of them": "已用全部 {n} 个样本重新训练；各项指标来自只学过其中 {of} 个的模型",
    "by the rule '{method}' would be taken, not '{word}': {why}": "按规则应采用“{method}”，而不是“{word}”：{why}",
    "its answers are less sure and varied than the source-only model's": (
        "它的回答不如只学源域的模型确定而多样"
    ),
    "'{chosen}' comes before it": "“{chosen}”排在它之前",
    "its source accuracy changes by {change:+.1f} points, and there seems to be nothing to win": (
        "它的源域正确率变化 {change:+.1f} 个百分点，而目标域看来没有可以提高之处"
    ),
    "it loses {lost:.1f} points of the source, where there seem to be {won:.1f} to win": (
        "它在源域上损失 {lost:.1f} 个百分点，而目标域看来只能提高 {won:.1f} 个"
    ),
    "the target has no labels: the figures are of held-out source items": "目标域没有标签：各项指标来自留出的源域样本",
    "target_labels {wanted}: fewer are there, all are used: {names}": (
        "target_labels 为 {wanted}：以下类别不足此数，已全部采用：{names}"
    ),
    "classes of the source that the target lacks: {names}; methods that want varied answers may "
    "give them all the same": "目标域缺少的源域类别：{names}；要求回答多样的方法仍可能给出这些类别",
    "the target has {n} items for {of} of the source; {most} of them, drawn at random, take part": (
        "目标域有 {n} 个样本，源域只有 {of} 个；随机抽取其中 {most} 个参与"
    ),
    "{n} items lie in both domains": "{n} 个样本同时出现在两个域中",
    "{n} unlabelled items are not used: too few labels to test if they help": (
        "{n} 个无标签样本未被采用：标签太少，无法检验是否有益"
    ),
    "of {n} unlabelled items {sure} are answered surely; they are used: on inner folds of the "
    "labelled ones they help; log loss {loss:+.3f} (95 %: {low:+.3f} to {high:+.3f})": (
        "{n} 个无标签样本中 {sure} 个回答确定；已采用：在有标签样本的内部各折上有益；对数损失 {loss:+.3f}"
        "（95%：{low:+.3f} 至 {high:+.3f}）"
    ),
    "of {n} unlabelled items {sure} are answered surely; they are not used: on inner folds of the "
    "labelled ones it cannot be told that they help; log loss {loss:+.3f} (95 %: {low:+.3f} to "
    "{high:+.3f})": (
        "{n} 个无标签样本中 {sure} 个回答确定；未采用：在有标签样本的内部各折上看不出有益；对数损失 {loss:+.3f}"
        "（95%：{low:+.3f} 至 {high:+.3f}）"
    ),
    # -- boxes
    "pictures are enlarged to {side} pixels a side, for half of the things are small (--image-size)": (
        "图片放大至边长 {side} 像素，因为半数物体很小（--image-size）"
    ),
    "'{name}' is on {n} held-out boxes but on no training picture; they do not count": (
        "“{name}”出现在 {n} 个留出的框上，但训练图片中没有；不予计入"
    ),
    "classes without a box, left out: {names}": "没有框的类别，已略去：{names}",
    "boxes that reach out of their pictures, and were cut: {n}": "超出图片而被裁剪的框：{n} 个",
    "{n} crowds: not trained on, and what is found in them is free": "{n} 个群体框：不参与训练，其中的检出不计对错",
    "one class, '{name}': told apart from the ground alone": "只有一个类别“{name}”：仅与背景区分",
    "the classes' ids, kept in the model as they are: {table}": "类别编号，按原样保存在模型中：{table}",
    "'{name}' has id {id}, but {other} in {root}": "“{name}”的编号为 {id}，但在 {root} 中为 {other}",
    "two classes share an id; all classes are numbered anew, from 1": "两个类别编号相同；全部类别从 1 起重新编号",
    "several {part} have one id: {id}": "多个 {part} 共用一个编号：{id}",
    "maps of {n} levels, {fine} to {coarse} pixels a point; anchors of {least:g} to {most:g} pixels "
    "cover {share:.0f} % of the {boxes} training boxes by half": (
        "特征图 {n} 级，每点 {fine} 至 {coarse} 像素；{least:g} 至 {most:g} 像素的锚框至少半数覆盖 {boxes} 个训练框中的 {share:.0f}%"
    ),
    "training will take about {time} here; epochs: {epochs}; steps in each: {n_steps}, of {step:.2g} s": (
        "在本机训练约需 {time}；轮数：{epochs}；每轮 {n_steps} 步，每步 {step:.2g} 秒"
    ),
}
